/* LSTM, GRU and RNN against the formulas written out here for one unit and one input. */
#include "nn_case.h"

static double sig(double x) { return 1.0 / (1.0 + exp(-x)); }

/* One LSTM step of a cell with one unit: w, r, b (of W), b2 (of R) in the order i o f c; p: i o f. */
static void lstm_step(const double *w, const double *r, const double *b, const double *p, double x, double *h, double *c)
{
    const double i = sig(w[0] * x + r[0] * *h + b[0] + b[4] + p[0] * *c);
    const double f = sig(w[2] * x + r[2] * *h + b[2] + b[6] + p[2] * *c);
    const double g = tanh(w[3] * x + r[3] * *h + b[3] + b[7]);
    *c = f * *c + i * g;
    const double o = sig(w[1] * x + r[1] * *h + b[1] + b[5] + p[1] * *c);
    *h = o * tanh(*c);
}

static const double W[2][4] = {{0.5, -0.25, 1.5, 0.75}, {-0.5, 1.25, 0.25, -0.75}};
static const double R[2][4] = {{0.1, 0.2, -0.3, 0.4}, {0.6, -0.7, 0.8, 0.9}};
static const double B[2][8] = {{0.1, 0.2, 0.3, 0.4, -0.1, 0.15, 0.25, -0.35}, {0.5, 0, -0.5, 0.25, 0, 0.1, 0, -0.1}};
static const double P[2][3] = {{0.3, -0.2, 0.1}, {0.7, 0.5, -0.4}};

START_TEST(lstm_bidirectional)
{
    const double x[3][2] = {{1, -2}, {0.5, 3}, {-1, 0.25}}; /* [seq][batch]; the second sequence has length 2 */
    const int len[2] = {3, 2};
    double y[3][2][2] = {{{0}}}, yh[2][2], yc[2][2]; /* [seq][dir][batch], [dir][batch] */
    nn_begin_outs("", "LSTM", 3);
    nn_in_values(MCOMP_F32, NN_D(3, 2, 1), &x[0][0]);
    nn_in_values(MCOMP_F32, NN_D(2, 4, 1), &W[0][0]);
    nn_in_values(MCOMP_F32, NN_D(2, 4, 1), &R[0][0]);
    nn_in_values(MCOMP_F32, NN_D(2, 8), &B[0][0]);
    NN_IN(I32, NN_D(2), NN_V(3, 2));
    NN_IN(F32, NN_D(2, 2, 1), NN_V(0.1, 0.2, 0.3, 0.4));
    NN_IN(F32, NN_D(2, 2, 1), NN_V(-0.1, -0.2, -0.3, -0.4));
    nn_in_values(MCOMP_F32, NN_D(2, 3), &P[0][0]);
    nn_s("direction", "bidirectional");
    nn_i("hidden_size", 1);
    nn_run();
    for (int d = 0; d < 2; d++)
        for (int b = 0; b < 2; b++) {
            double h = 0.1 + 0.2 * d + 0.1 * b, c = -h;
            for (int i = 0; i < len[b]; i++) {
                const int t = d ? len[b] - 1 - i : i;
                lstm_step(W[d], R[d], B[d], P[d], x[t][b], &h, &c);
                y[t][d][b] = h;
            }
            yh[d][b] = h;
            yc[d][b] = c;
        }
    NN_WANT(0, F32, NN_D(3, 2, 2, 1), &y[0][0][0], 1e-6);
    NN_WANT(1, F32, NN_D(2, 2, 1), &yh[0][0], 1e-6);
    NN_WANT(2, F32, NN_D(2, 2, 1), &yc[0][0], 1e-6);
    nn_end();
}
END_TEST

START_TEST(lstm_layout_and_reverse)
{
    double h = 0.0, c = 0.0;
    const double zero[3] = {0};
    const double x[2] = {1.0, -0.5};
    nn_begin_outs("", "LSTM", 2);
    nn_in_values(MCOMP_F64, NN_D(1, 2, 1), x); /* [batch,seq,in] */
    nn_in_values(MCOMP_F64, NN_D(1, 4, 1), W[0]);
    nn_in_values(MCOMP_F64, NN_D(1, 4, 1), R[0]);
    nn_in_values(MCOMP_F64, NN_D(1, 8), B[0]);
    nn_s("direction", "reverse");
    nn_i("layout", 1);
    nn_run();
    double y[2];
    for (int t = 1; t >= 0; t--) {
        lstm_step(W[0], R[0], B[0], zero, x[t], &h, &c);
        y[t] = h;
    }
    NN_WANT(0, F64, NN_D(1, 2, 1, 1), y, 1e-12);
    NN_WANT(1, F64, NN_D(1, 1, 1), &h, 1e-12);
    nn_end();
}
END_TEST

START_TEST(lstm_clip_coupled_activations)
{
    const double x = 10.0;
    nn_begin_outs("", "LSTM", 3);
    nn_in_values(MCOMP_F32, NN_D(1, 1, 1), &x);
    nn_in_values(MCOMP_F32, NN_D(1, 4, 1), W[0]);
    nn_in_values(MCOMP_F32, NN_D(1, 4, 1), R[0]);
    nn_omit();
    nn_omit();
    nn_omit();
    NN_IN(F32, NN_D(1, 1, 1), NN_V(2));
    nn_f("clip", 0.5f);
    nn_i("input_forget", 1);
    char *acts[3] = {(char[]){"HardSigmoid"}, (char[]){"relu"}, (char[]){"Affine"}};
    mc_ck_ok(mc_node_set_strings(nn_node, "activations", acts, 3));
    mc_ck_ok(mc_node_set_floats(nn_node, "activation_alpha", (float[]){0.5f, 3.0f}, 2));
    mc_ck_ok(mc_node_set_floats(nn_node, "activation_beta", (float[]){0.25f, 1.0f}, 2));
    nn_run();
    const double i = 0.5 * 0.5 + 0.25, f = 1.0 - i, g = 0.5, o = -0.5 * 0.5 + 0.25; /* inputs 5, 7.5 and -2.5, clipped */
    const double c = f * 2.0 + i * g, h = o * (3.0 * c + 1.0);
    nn_want(0, &h, 1e-6);
    nn_want(2, &c, 1e-6);
    nn_end();
}
END_TEST

START_TEST(gru_both_forms)
{
    const double w[3] = {0.5, -0.25, 1.5}, r[3] = {0.1, 0.2, -0.3}, b[6] = {0.1, 0.2, 0.3, -0.1, 0.15, 0.25}, x[2] = {1.0, -0.5};
    for (int before = 0; before < 2; before++) {
        double h = 0.4, y[2];
        nn_begin_outs("", "GRU", 2);
        nn_in_values(MCOMP_F32, NN_D(2, 1, 1), x);
        nn_in_values(MCOMP_F32, NN_D(1, 3, 1), w);
        nn_in_values(MCOMP_F32, NN_D(1, 3, 1), r);
        nn_in_values(MCOMP_F32, NN_D(1, 6), b);
        nn_omit();
        NN_IN(F32, NN_D(1, 1, 1), NN_V(0.4));
        nn_i("linear_before_reset", before);
        nn_run();
        for (int t = 0; t < 2; t++) {
            const double z = sig(w[0] * x[t] + r[0] * h + b[0] + b[3]), q = sig(w[1] * x[t] + r[1] * h + b[1] + b[4]);
            const double g = before ? tanh(w[2] * x[t] + b[2] + q * (r[2] * h + b[5])) : tanh(w[2] * x[t] + b[2] + r[2] * (q * h) + b[5]);
            y[t] = h = (1.0 - z) * g + z * h;
        }
        NN_WANT(0, F32, NN_D(2, 1, 1, 1), y, 1e-6);
        nn_want(1, &h, 1e-6);
        nn_end();
    }
}
END_TEST

START_TEST(rnn)
{
    nn_begin_outs("", "RNN", 2);
    NN_IN(F32, NN_D(1, 1, 2), NN_V(1, 2));
    NN_IN(F32, NN_D(1, 2, 2), NN_V(0.1, 0.2, -0.3, 0.4));
    NN_IN(F32, NN_D(1, 2, 2), NN_V(1, 0, 0, 1));
    nn_omit();
    nn_omit();
    NN_IN(F32, NN_D(1, 1, 2), NN_V(0.5, -1));
    nn_run();
    nn_want(1, NN_V(tanh(1.0), tanh(-0.5)), 1e-6);
    nn_end();
}
END_TEST

START_TEST(refused)
{
    nn_begin_outs("", "LSTM", 1); /* R for another hidden size */
    nn_random(MCOMP_F32, NN_D(2, 1, 3), 1);
    nn_random(MCOMP_F32, NN_D(1, 8, 3), 1);
    nn_random(MCOMP_F32, NN_D(1, 12, 3), 1);
    nn_fails(MCOMP_SHAPE);
    nn_begin_outs("", "RNN", 1); /* a length beyond the sequence */
    nn_random(MCOMP_F32, NN_D(2, 1, 3), 1);
    nn_random(MCOMP_F32, NN_D(1, 2, 3), 1);
    nn_random(MCOMP_F32, NN_D(1, 2, 2), 1);
    nn_omit();
    NN_IN(I32, NN_D(1), NN_V(3));
    nn_fails(MCOMP_RANGE);
    nn_begin_outs("", "GRU", 1);
    nn_random(MCOMP_F32, NN_D(2, 1, 3), 1);
    nn_random(MCOMP_F32, NN_D(1, 6, 3), 1);
    nn_random(MCOMP_F32, NN_D(1, 6, 2), 1);
    nn_s("direction", "sideways");
    nn_fails(MCOMP_FORMAT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("nn_rnn");
    TCase *t = tcase_create("all");
    tcase_add_test(t, lstm_bidirectional);
    tcase_add_test(t, lstm_layout_and_reverse);
    tcase_add_test(t, lstm_clip_coupled_activations);
    tcase_add_test(t, gru_both_forms);
    tcase_add_test(t, rnn);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    return mc_test_main(s);
}
