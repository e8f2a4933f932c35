/* mcomp/tensor.hpp - tensors of mcomp/mcomp.hpp: owned ones, views of others', and their elements. */
#ifndef MCOMP_TENSOR_HPP
#define MCOMP_TENSOR_HPP

#include <mcomp/handle.hpp>

namespace mcomp {

/* Elements in a row, somebody else's. */
template <class T> class Span {
public:
    Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    T *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    T *begin() const noexcept { return data_; }
    T *end() const noexcept { return data_ + size_; }
    T &operator[](std::size_t i) const noexcept { return data_[i]; }
    std::vector<std::remove_const_t<T>> copy() const { return {begin(), end()}; }

private:
    T *data_;
    std::size_t size_;
};

/* Element type of a C++ type. Half floats are read as uint16_t and 8-bit floats as uint8_t through raw(). */
template <class T> struct DType;
template <> struct DType<float> : std::integral_constant<int32_t, MCOMP_F32> {};
template <> struct DType<double> : std::integral_constant<int32_t, MCOMP_F64> {};
template <> struct DType<int8_t> : std::integral_constant<int32_t, MCOMP_I8> {};
template <> struct DType<int16_t> : std::integral_constant<int32_t, MCOMP_I16> {};
template <> struct DType<int32_t> : std::integral_constant<int32_t, MCOMP_I32> {};
template <> struct DType<int64_t> : std::integral_constant<int32_t, MCOMP_I64> {};
template <> struct DType<uint8_t> : std::integral_constant<int32_t, MCOMP_U8> {};
template <> struct DType<uint16_t> : std::integral_constant<int32_t, MCOMP_U16> {};
template <> struct DType<uint32_t> : std::integral_constant<int32_t, MCOMP_U32> {};
template <> struct DType<uint64_t> : std::integral_constant<int32_t, MCOMP_U64> {};
template <> struct DType<bool> : std::integral_constant<int32_t, MCOMP_BOOL> {};

/* A tensor of somebody else, to read. */
class TensorView {
public:
    TensorView(const mcomp_tensor *t) noexcept : p_(t) {}
    const mcomp_tensor *get() const noexcept { return p_; }
    int32_t dtype() const noexcept { return mcomp_tensor_dtype(p_); }
    Span<const int64_t> shape() const noexcept { return {mcomp_tensor_dims(p_), static_cast<std::size_t>(mcomp_tensor_rank(p_))}; }
    int64_t count() const noexcept { return mcomp_tensor_elements(p_); }
    uint64_t bytes() const noexcept { return mcomp_tensor_bytes(p_); }
    const void *raw() const noexcept { return mcomp_tensor_data(p_); }
    /* Throws MCOMP_DTYPE where T is not the element type. */
    template <class T> Span<const T> elements() const { return {static_cast<const T *>(typed(DType<T>::value)), bytes() / sizeof(T)}; }
    void save_npy(const std::string &path, bool overwrite = false) const { detail::call(mcomp_tensor_save_npy, p_, path.c_str(), overwrite); }

protected:
    void *typed(int32_t wanted) const
    {
        if (dtype() != wanted)
            throw Error(MCOMP_DTYPE, "tensor", (std::string("holds ") + mcomp_dtype_name(dtype()) + ", not " + mcomp_dtype_name(wanted)).c_str());
        return mcomp_tensor_data(p_);
    }

private:
    friend class Tensor;
    const mcomp_tensor *p_;
};
/* "float32" or numpy's "<f4" to its code, MCOMP_UNDEFINED if unknown; and back. */
inline int32_t dtype(const std::string &name) noexcept { return mcomp_dtype_from_name(name.c_str()); }
inline const char *dtype_name(int32_t code) noexcept { return mcomp_dtype_name(code); }
using Views = std::vector<TensorView>;

class Tensor : public Handle<mcomp_tensor, mcomp_tensor_destroy> {
public:
    using Handle::Handle;
    Tensor() noexcept = default;
    /* Zeros. */
    Tensor(int32_t dtype, const std::vector<int64_t> &shape)
        : Handle(detail::make(mcomp_tensor_destroy, mcomp_tensor_create, dtype, static_cast<int32_t>(shape.size()), shape.data())) {}
    /* The caller's memory, which must outlive the tensor; bytes: exactly its size. */
    static Tensor wrap(int32_t dtype, const std::vector<int64_t> &shape, void *data, uint64_t bytes)
    {
        return Tensor(detail::make(mcomp_tensor_destroy, mcomp_tensor_wrap, dtype, static_cast<int32_t>(shape.size()), shape.data(), data, bytes,
                                   nullptr, nullptr));
    }
    /* A copy of the values: Tensor::of<float>({1, 3}, {1, 2, 3}). */
    template <class T> static Tensor of(const std::vector<int64_t> &shape, const std::vector<T> &values)
    {
        Tensor t(DType<T>::value, shape);
        const Span<T> to = t.elements<T>();
        if (to.size() != values.size()) throw Error(MCOMP_SHAPE, "tensor", "there are not as many values as the shape has elements");
        for (std::size_t i = 0; i < values.size(); i++) to[i] = values[i];
        return t;
    }
    static Tensor load_npy(const std::string &path) { return Tensor(detail::make(mcomp_tensor_destroy, mcomp_tensor_load_npy, path.c_str())); }
    static Tensor load_pb(const std::string &path)
    {
        return Tensor(detail::make(mcomp_tensor_destroy, mcomp_tensor_load_pb, path.c_str(), nullptr, uint64_t{0}));
    }
    TensorView view() const noexcept { return get(); }
    operator TensorView() const noexcept { return get(); }
    template <class T> Span<T> elements() const { return {static_cast<T *>(view().typed(DType<T>::value)), mcomp_tensor_bytes(get()) / sizeof(T)}; }
    void *raw() const noexcept { return mcomp_tensor_data(get()); }
};

namespace detail {
inline std::vector<const mcomp_tensor *> pointers(const Views &views)
{
    std::vector<const mcomp_tensor *> out;
    for (const TensorView &v : views) out.push_back(v.get());
    return out;
}
} // namespace detail

} // namespace mcomp

#endif
