/* runtime/device.h - private: backends with memory of their own run groups of nodes. */
#ifndef MC_RUNTIME_DEVICE_H
#define MC_RUNTIME_DEVICE_H

#include "runtime/exec.h"

/* Finds runs of consecutive steps that a device backend claims, keeps those that pay (transfers counted) or that the user asked
 * for, and compiles each as one program. The registry's lock is held. */
int32_t mc_device_place(mc_plan *p);
void mc_device_free(mc_group *g); /* the program; the registry's lock is held */

/* Device memory and stream of one exec for all groups of a plan (array of p->n_groups); NULL in *out when there are none. */
int32_t mc_device_open(const mc_plan *p, mc_device **out);
void mc_device_close(const mc_plan *p, mc_device *d);
/* Uploads, runs, downloads. */
int32_t mc_device_run(mcomp_exec *e, const mc_binding *b, const mc_group *g, mc_device *d);

#endif
