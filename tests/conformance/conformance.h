/* conformance.h - the ONNX backend cases: shared pieces of the runner. A case is a model with its data sets; it is run either by
 * the operator references alone, node by node, or as a user runs it: through a session of the public interface. */
#ifndef MC_CONFORMANCE_H
#define MC_CONFORMANCE_H

#include "onnx/onnx.h"

#define CONF_MAX_IO 64

/* PASS: every data set agrees. REFUSED: the library said that it cannot. WRONG: another failure, or another result. */
enum { CONF_PASS, CONF_REFUSED, CONF_WRONG, CONF_CLASSES };

typedef struct conf_case {
    char name[300];  /* suite/case */
    char model[700]; /* path of the model */
    char base[700];  /* folder with test_data_set_N/; light: path without _output_0.pb */
    int light;       /* the only input's element i is i / n */
} conf_case;

typedef struct conf_result {
    int class;
    char op[96];  /* the operator it is about: the only node's, or the one that was refused or failed */
    char why[900];     /* code, place and message, or what differs */
    char reason[520];  /* of a refusal: the message alone */
} conf_result;

void conf_case_reference(const conf_case *c, conf_result *r);
void conf_case_session(const conf_case *c, conf_result *r);
/* Class and texts of the error that st stands for. A refusal is UNSUPPORTED, and LIMIT if the caller counts it so. */
void conf_failed(conf_result *r, int32_t st, int limit_too);

/* The graph node by node (branches of If included) on `in`, one tensor for each graph input without an initializer.
 * out[i]: one tensor a graph output, to be destroyed by the caller. *culprit: the operator that failed, static or owned by g.
 * What type inference said of each value must be what comes out: MCOMP_INTERNAL otherwise. */
int32_t conf_run(const mc_graph *g, int32_t n_in, mc_tensor *const *in, mc_tensor **out, const char **culprit);
/* The input of a light model, and what is expected of it. */
int32_t conf_light_io(const mc_graph *g, const conf_case *c, mc_tensor **x, mc_tensor **want);

/* NULL when got is what was expected; otherwise what is wrong (static buffer). */
const char *conf_differs(const mc_tensor *got, const mc_tensor *want);

/* Unpacks the archive into dir once (a stamp file tells); several processes may call it at a time. 0 = there. */
int conf_unpack(const char *archive, const char *dir);

/* ---- tally.c: results by operator ---- */
void conf_count(const conf_result *r);
int32_t conf_total(int class);
void conf_print_table(void);
/* An operator of ONNX that runs in a case that passed; rows of ops.def without such a case, and without cases of their own, are
 * named: how many. */
void conf_covers(const char *op);
int32_t conf_uncovered(void);
/* docs/conformance.md: written, or compared with the file. 0 = fine. */
int conf_docs(const char *path, int write);

#endif
