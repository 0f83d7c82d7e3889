/* SPDX-License-Identifier: MIT */
/* The runs of `make test-lab`. */
#include "lab/suite.h"

#include <stddef.h>
#include <stdio.h>

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

/* The audit after every step, the smallest pool. */
#define CLOSE "steps=5000 audit=1 pool=64 "
#define LONG  "steps=40000 audit=100 "

static const char *const single_rows[] = {
	CLOSE "guest=random mode=unpaged absent_page=on policy=",
	CLOSE "guest=random mode=2level policy=",
	CLOSE "guest=random mode=pae policy=",
	CLOSE "guest=random mode=4level policy=",
	CLOSE "guest=random mode=5level policy=",
	CLOSE "guest=random mode=mixed policy=oos=leaf",
	CLOSE "guest=os mode=mixed policy=",
	CLOSE "guest=os life=crowd mode=mixed policy=",
	LONG "guest=random mode=unpaged pool=128 policy=large=off",
	LONG "guest=random mode=unpaged pool=64 maxphyaddr=36 policy=prefetch=0",
	/* Several vCPUs, which share tables in different modes. */
	LONG "guest=random vcpus=2 pool=64 policy=",
	LONG "guest=random vcpus=2 pool=128 policy=oos=off,write=zap",
	LONG "guest=random vcpus=2 mode=2level pool=128 policy=oos=leaf",
	LONG "guest=random vcpus=2 mode=pae pool=64 policy=sticky=1000",
	LONG "guest=random vcpus=3 mode=mixed pool=128 policy=prefetch=8",
	LONG "guest=random vcpus=4 mode=mixed pool=256 policy=",
	LONG "guest=os vcpus=4 mode=mixed pool=256 policy=",
	/* As many processes as there can be, with a shadow of each, or a few. */
	LONG "guest=os life=crowd mode=4level pool=2048 policy=sticky=1000",
	LONG "guest=os life=crowd mode=mixed vcpus=2 pool=1024 policy=",
	/* Large pages split and merged again. */
	LONG "guest=os life=large mode=4level pool=256 policy=",
	LONG "guest=os life=large mode=pae vcpus=2 pool=256 policy=",
	LONG "guest=os life=large mode=5level vcpus=3 pool=256 policy=",
};

/* All of these with all of the next. */
static const char *const policies[] = {
	"",
	/* Each optimisation by itself against the default. */
	"cache=off",
	"large=off",
	"write=unsync",
	"write=emulate",
	"write=zap",
	"oos=off",
	"oos=leaf",
	"snapshot=off",
	"elide=off",
	"sticky=0",
	"sticky=1",
	"sticky=1000",
	"prefetch=0",
	"prefetch=512",
	"replace=fifo",
	/* Some together; everything off, and everything at its most. */
	"oos=leaf,snapshot=off",
	"oos=leaf,sticky=0,prefetch=512",
	"write=unsync,oos=leaf,sticky=1000,prefetch=512",
	"write=unsync,sticky=0,prefetch=0,elide=off",
	"write=unsync,snapshot=off,sticky=1000,prefetch=512,large=off",
	"cache=off,large=off,write=zap,oos=off,prefetch=0,elide=off",
	"large=off,write=emulate,prefetch=0,replace=fifo",
	"write=unsync,sticky=1000,prefetch=512",
};

static const char *const guests[] = {
	"guest=random mode=2level",
	"guest=random mode=pae",
	"guest=random mode=4level",
	"guest=random mode=5level",
	"guest=random mode=mixed",
	"guest=random mode=mixed vcpus=2",
	"guest=random mode=4level vcpus=2",
	"guest=os mode=2level",
	"guest=os mode=pae",
	"guest=os mode=4level",
	"guest=os mode=5level",
	"guest=os mode=mixed",
	"guest=os mode=mixed vcpus=3",
	"guest=os life=crowd mode=4level pool=512",
	"guest=os life=crowd mode=mixed pool=256",
	"guest=os life=large mode=mixed vcpus=2",
};

/* In turn: other processors, memory that is not there, the smallest pool. */
static const char *const machines[] = {
	"pool=128",
	"pool=64 maxphyaddr=36",
	"pool=128 maxphyaddr=52 absent_page=on",
	"pool=64 absent_page=on no_1g=on",
	"pool=128 maxphyaddr=46 no_1g=on",
	"pool=64",
	"pool=256 maxphyaddr=39 absent_page=on",
};

/* In turn with all of these: how many tags a CPU has, what its host can flush, and how many of the
 * guest's stores it does not understand. */
static const char *const hosts[] = {
	"tags=1",
	"tags=2 flush_tag=on unshadow=0",
	"tags=8 flush_tag=on",
	"tags=3 flush_tag=on flush_gva=off unshadow=3",
	"tags=1 flush_tag=on flush_gva=off",
	"tags=8 unshadow=0",
	"tags=2 flush_gva=off unshadow=100",
	"tags=64 flush_tag=on unshadow=10",
	"tags=3 flush_tag=on",
};

bool suite_row(unsigned index, uint64_t round, char *text)
{
	unsigned n = index - COUNT(single_rows);
	const char *host = hosts[(index + index / COUNT(guests) + round) % COUNT(hosts)];

	if (index < COUNT(single_rows)) {
		snprintf(text, LAB_CONFIG_BYTES, "%s %s", host, single_rows[index]);
		return true;
	}
	if (n >= COUNT(policies) * COUNT(guests))
		return false;
	snprintf(text, LAB_CONFIG_BYTES, "steps=7000 audit=50 %s %s %s policy=%s", host,
		machines[(n + round) % COUNT(machines)], guests[n % COUNT(guests)],
		policies[n / COUNT(guests)]);
	return true;
}
