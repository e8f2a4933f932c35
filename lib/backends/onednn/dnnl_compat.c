/* oneDNN 2.x and 3.x behind one set of calls. */
#include "dnnl_compat.h"

const char *dc_impl_name(const_dnnl_primitive_desc_t pd)
{
    const char *name = NULL;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) == dnnl_success && name ? name : "ref:unknown";
}

/* The library's arrays are as long as its largest rank. */
typedef struct full_geometry {
    dnnl_dims_t strides, dilates, pad_l, pad_r;
} full_geometry;

static full_geometry widen(const dc_conv_geometry *g)
{
    full_geometry f = {{0}, {0}, {0}, {0}};
    for (int i = 0; i < 2; i++) {
        f.strides[i] = g->strides[i];
        f.dilates[i] = g->dilates[i];
        f.pad_l[i] = g->pad_l[i];
        f.pad_r[i] = g->pad_r[i];
    }
    return f;
}

#if DNNL_VERSION_MAJOR >= 3

int dc_md_tag(dc_md *m, int rank, const int64_t *dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return (int)dnnl_memory_desc_create_with_tag(&m->d, rank, dims, type, tag);
}

int dc_md_strides(dc_md *m, int rank, const int64_t *dims, dnnl_data_type_t type, const int64_t *strides)
{
    return (int)dnnl_memory_desc_create_with_strides(&m->d, rank, dims, type, strides);
}

void dc_md_free(dc_md *m)
{
    if (m->d) dnnl_memory_desc_destroy(m->d);
    m->d = NULL;
}

uint64_t dc_md_bytes(const dc_md *m) { return dnnl_memory_desc_get_size(m->d); }
int dc_md_equal(const dc_md *a, const dc_md *b) { return dnnl_memory_desc_equal(a->d, b->d); }

int dc_md_query(dc_md *m, const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    const_dnnl_memory_desc_t d = dnnl_primitive_desc_query_md(pd, what, 0);
    return d ? (int)dnnl_memory_desc_clone(&m->d, d) : (int)dnnl_invalid_arguments;
}

int dc_memory(dnnl_memory_t *out, const dc_md *m, dnnl_engine_t engine, void *data)
{
    return (int)dnnl_memory_create(out, m->d, engine, data);
}

int dc_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *src, const dc_md *weights, const dc_md *dst,
              dnnl_primitive_attr_t attr)
{
    return (int)dnnl_matmul_primitive_desc_create(out, engine, src->d, weights->d, NULL, dst->d, attr);
}

int dc_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *src, const dc_md *weights, const dc_md *dst,
            const dc_conv_geometry *g, dnnl_primitive_attr_t attr)
{
    const full_geometry f = widen(g);
    return (int)dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference, dnnl_convolution_direct, src->d,
                                                               weights->d, NULL, dst->d, f.strides, f.dilates, f.pad_l, f.pad_r, attr);
}

int dc_pool(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, const dc_md *src, const dc_md *dst, const dc_conv_geometry *g,
            const int64_t kernel[2], dnnl_primitive_attr_t attr)
{
    const full_geometry f = widen(g);
    const dnnl_dims_t k = {kernel[0], kernel[1]};
    return (int)dnnl_pooling_forward_primitive_desc_create(out, engine, dnnl_forward_inference, alg, src->d, dst->d, f.strides, k, f.dilates, f.pad_l,
                                                           f.pad_r, attr);
}

int dc_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *from, const dc_md *to)
{
    return (int)dnnl_reorder_primitive_desc_create(out, from->d, engine, to->d, engine, NULL);
}

#else

int dc_md_tag(dc_md *m, int rank, const int64_t *dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return (int)dnnl_memory_desc_init_by_tag(&m->d, rank, dims, type, tag);
}

int dc_md_strides(dc_md *m, int rank, const int64_t *dims, dnnl_data_type_t type, const int64_t *strides)
{
    return (int)dnnl_memory_desc_init_by_strides(&m->d, rank, dims, type, strides);
}

void dc_md_free(dc_md *m) { m->d.ndims = 0; }
uint64_t dc_md_bytes(const dc_md *m) { return dnnl_memory_desc_get_size(&m->d); }
int dc_md_equal(const dc_md *a, const dc_md *b) { return dnnl_memory_desc_equal(&a->d, &b->d); }

int dc_md_query(dc_md *m, const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    const dnnl_memory_desc_t *d = dnnl_primitive_desc_query_md(pd, what, 0);
    if (!d) return (int)dnnl_invalid_arguments;
    m->d = *d;
    return 0;
}

int dc_memory(dnnl_memory_t *out, const dc_md *m, dnnl_engine_t engine, void *data)
{
    return (int)dnnl_memory_create(out, &m->d, engine, data);
}

int dc_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *src, const dc_md *weights, const dc_md *dst,
              dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t d;
    const dnnl_status_t st = dnnl_matmul_desc_init(&d, &src->d, &weights->d, NULL, &dst->d);
    return (int)(st != dnnl_success ? st : dnnl_primitive_desc_create(out, &d, attr, engine, NULL));
}

int dc_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *src, const dc_md *weights, const dc_md *dst,
            const dc_conv_geometry *g, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    const full_geometry f = widen(g);
    const dnnl_status_t st = dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_direct, &src->d,
                                                                        &weights->d, NULL, &dst->d, f.strides, f.dilates, f.pad_l, f.pad_r);
    return (int)(st != dnnl_success ? st : dnnl_primitive_desc_create(out, &d, attr, engine, NULL));
}

int dc_pool(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, const dc_md *src, const dc_md *dst, const dc_conv_geometry *g,
            const int64_t kernel[2], dnnl_primitive_attr_t attr)
{
    dnnl_pooling_desc_t d;
    const full_geometry f = widen(g);
    const dnnl_dims_t k = {kernel[0], kernel[1]};
    const dnnl_status_t st = dnnl_pooling_forward_desc_init(&d, dnnl_forward_inference, alg, &src->d, &dst->d, f.strides, k, f.pad_l, f.pad_r);
    return (int)(st != dnnl_success ? st : dnnl_primitive_desc_create(out, &d, attr, engine, NULL));
}

int dc_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *from, const dc_md *to)
{
    return (int)dnnl_reorder_primitive_desc_create(out, &from->d, engine, &to->d, engine, NULL);
}

#endif
