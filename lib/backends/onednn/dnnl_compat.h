/* backends/onednn/dnnl_compat.h - the few calls this plugin makes, in one form for oneDNN 2.x and 3.x.
 *
 * The two differ in memory descriptors (a struct by value in 2.x, an owned pointer in 3.x) and in how primitives are described (an
 * operation descriptor in 2.x, arguments in 3.x). Everything here returns 0 or a dnnl_status_t.
 */
#ifndef MC_ONEDNN_COMPAT_H
#define MC_ONEDNN_COMPAT_H

#include <dnnl.h>
#include <stdint.h>

typedef struct dc_md { /* zeroed: empty */
    dnnl_memory_desc_t d;
} dc_md;

int dc_md_tag(dc_md *m, int rank, const int64_t *dims, dnnl_data_type_t type, dnnl_format_tag_t tag);
/* Strides in elements. */
int dc_md_strides(dc_md *m, int rank, const int64_t *dims, dnnl_data_type_t type, const int64_t *strides);
void dc_md_free(dc_md *m);
uint64_t dc_md_bytes(const dc_md *m);
int dc_md_equal(const dc_md *a, const dc_md *b);
/* Copy of what the primitive wants. */
int dc_md_query(dc_md *m, const_dnnl_primitive_desc_t pd, dnnl_query_t what);
int dc_memory(dnnl_memory_t *out, const dc_md *m, dnnl_engine_t engine, void *data);

int dc_matmul(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *src, const dc_md *weights, const dc_md *dst,
              dnnl_primitive_attr_t attr);
typedef struct dc_conv_geometry {
    int64_t strides[2], dilates[2], pad_l[2], pad_r[2]; /* dilates: 0 = dense */
} dc_conv_geometry;
int dc_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *src, const dc_md *weights, const dc_md *dst,
            const dc_conv_geometry *g, dnnl_primitive_attr_t attr);
int dc_pool(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_alg_kind_t alg, const dc_md *src, const dc_md *dst, const dc_conv_geometry *g,
            const int64_t kernel[2], dnnl_primitive_attr_t attr);
int dc_reorder(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const dc_md *from, const dc_md *to);
/* Name of the implementation; "ref" in front of it means a slow one. */
const char *dc_impl_name(const_dnnl_primitive_desc_t pd);

#endif
