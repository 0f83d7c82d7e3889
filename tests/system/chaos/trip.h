/* SPDX-License-Identifier: MIT */
/*
 * Where the trip through the modes has its things, in free low memory. For C and assembly.
 */
#ifndef CHAOS_TRIP_H
#define CHAOS_TRIP_H

#define TRIP_CODE      0x60000
#define TRIP_STACK_TOP 0x64000
#define TRIP_VECTORS   0x65000
#define TRIP_NOTES     0x66000 /* how many, then the words */
#define TRIP_CR3       0x66800
#define TRIP_CR4       0x66804
#define TRIP_STRICT    0x66808 /* also what TCG does not check by itself */
#define TRIP_RESUME    0x6680c /* where #GP goes on */
#define TRIP_BROKEN    0x66810 /* the entry that #PF repairs */
#define TRIP_HIDDEN    0x66814 /* memory that is not there for us */
#define TRIP_DIRECTORY 0x67000
#define TRIP_TABLE     0x68000
#define TRIP_POINTERS  0x69000
#define TRIP_PAE_LOW   0x6a000 /* directories and a table of PAE paging */
#define TRIP_PAE_HIGH  0x6b000
#define TRIP_PAE_TABLE 0x6c000
#define TRIP_DATA_1    0x6d000
#define TRIP_DATA_2    0x6e000
#define TRIP_WORD_1    TRIP_DATA_1

/* Linear: mapped by the tables, in all modes at the same place. */
#define TRIP_WINDOW 0x40000000
/* Physical. */
#define TRIP_HIGH 0x2000010

#endif
