/* mcomp/mcomp.h - everything at once. Start reading at context.h, graph.h and session.h; then dataset.h, calibrator.h and
 * quantizer.h for compression. backend.h is for authors of backends and is not included here. */
#ifndef MCOMP_MCOMP_H
#define MCOMP_MCOMP_H

#include <mcomp/calibrator.h>
#include <mcomp/context.h>
#include <mcomp/dataset.h>
#include <mcomp/distiller.h>
#include <mcomp/graph.h>
#include <mcomp/pruner.h>
#include <mcomp/quantizer.h>
#include <mcomp/build.h>
#include <mcomp/report.h>
#include <mcomp/trainer.h>
#include <mcomp/recipe.h>
#include <mcomp/session.h>
#include <mcomp/status.h>
#include <mcomp/tensor.h>
#include <mcomp/tokenizer.h>
#include <mcomp/types.h>
#include <mcomp/version.h>

#endif
