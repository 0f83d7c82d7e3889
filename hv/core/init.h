/* SPDX-License-Identifier: MIT */
/*
 * What the boot code calls, once and in this order, to bring hv/core up. Nobody else needs it.
 */
#ifndef HV_CORE_INIT_H
#define HV_CORE_INIT_H

#include "hv/core/core.h"

#define MONITOR_DEFAULT_PORT 0x2f8u

/* Set up the 16550 at @io_port (115200 8n1, FIFOs, no interrupts) as the monitor. May be called
 * again with another port. */
void monitor_init(uint16_t io_port);

/* Wait, for a bounded time, until all that was written to the monitor has left. */
void monitor_drain(void);

/* Load the IDT: 256 gates on the current stack. Exceptions panic with registers, #DB resumes, NMI
 * is ignored. */
void traps_init(void);

/* Keep @command_line (keeps, for ever; cut into words in place) as the options. */
void options_init(char *command_line);

/* fatal_config() if an option was given whose key is not in @known (NULL-terminated). */
void options_check(const char *const known[]);

/* Make memory_map out of the @n_raw entries @raw (borrows; at most MEMORY_MAP_MAX + 1) in any
 * order, with overlaps (anything but RAM wins over RAM, else the higher type) and empty entries.
 * Returns false, and leaves memory_map alone, when the result has more than MEMORY_MAP_MAX entries.
 */
bool memory_map_build(const struct memory_map_entry *raw, unsigned n_raw);

/* Take @range away from the guest's RAM: type 2 from now on. Returns like memory_map_build. */
bool memory_map_reserve(struct phys_range range);

/* frames_alloc() gives pages of @range from now on. */
void frames_init(struct phys_range range);

/* virt_to_phys() finds the image at @phys from now on. */
void image_moved_to(uint64_t phys);

#endif
