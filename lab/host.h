/* SPDX-License-Identifier: MIT */
/*
 * The services the lab gives the library (umbra/host.h). Owns the answer to a flush request and to
 * a panic; the context is the struct machine.
 */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include "lab/config.h"
#include "umbra/host.h"

/* The services of a machine of @config: it can do without some of the flushes. */
struct umbra_host host_services(const struct lab_config *config);

#endif
