/* SPDX-License-Identifier: MIT */
/*
 * The services the lab gives the library (umbra/host.h). Owns the answer to a flush request and to
 * a panic; the context is the struct machine.
 */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include "umbra/host.h"

extern const struct umbra_host lab_host;

#endif
