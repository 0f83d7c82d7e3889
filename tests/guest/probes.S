/* SPDX-License-Identifier: MIT */
/*
 * The operations, one for each enum op. The user has them at another address, so nothing in them
 * may depend on where it is. The address is in DI, the value in SI, the result goes to AX.
 */
#include "tests/guest/layout.h"
#include "tests/guest/registers.h"

	.section .probes, "ax"
	.globl	probe_ops
probe_ops:
	.macro done
	int	$TRAP_DONE
	.endm

op_read:	mov	(DI), AX
	done
op_write:	mov	SI, (DI)
	done
op_fetch:	jmp	*DI
op_read8:	movzbl	(DI), %eax
	done
op_read32:	mov	(DI), %eax
	done
op_write8:	mov	SI, AX
	mov	%al, (DI)
	done
op_write16:	mov	%si, (DI)
	done
op_write32:	mov	%esi, (DI)
	done
op_xchg:	mov	SI, AX
	xchg	AX, (DI)
	done
op_cmpxchg:	lock cmpxchg SI, (DI)
	done
op_cmpxchg8b:	lock cmpxchg8b (DI)
	done
op_cmpxchg16b:
#ifdef __x86_64__
	lock cmpxchg16b (%rdi)
#endif
	done
op_add:	add	SI, (DI)
	done
op_and8:	mov	SI, AX
	and	%al, (DI)
	done
op_and:	lock and SI, (DI)
	done
op_or:	lock or	SI, (DI)
	done
op_bts:	lock bts CX, (DI)
	done
op_btr:	lock btr CX, (DI)
	done
op_rep_stos:	rep STOS
	done
op_rep_movs:	rep MOVS
	done
op_push:	mov	SP, BX
	mov	DI, SP
	push	SI
	mov	BX, SP
	done
op_pop:	pop	(DI)
	done
op_call:	mov	SP, BX
	mov	DI, SP
	call	1f
1:	mov	BX, SP
	done
op_sse_store:	movups	%xmm0, (DI)
	done
op_sse_load:	movups	(DI), %xmm0
	done
op_stac_read:	stac
	mov	(DI), AX
	clac
	done
op_stac_write:	stac
	mov	SI, (DI)
	clac
	done
op_clac_read:	clac
	mov	(DI), AX
	done
op_load_es:	mov	%esi, %es
	done
op_invlpg:	invlpg	(DI)
	done
op_write_cr0:	mov	SI, %cr0
	done
op_write_cr3:	mov	SI, %cr3
	done
op_write_cr4:	mov	SI, %cr4
	done
op_write_msr:	wrmsr
	done
op_invpcid:	invpcid	(DI), SI
	done
op_wrpkru:	wrpkru
	done
op_lmsw:	lmsw	%si
	done
op_clts:	clts
	done

	.section .rodata
	.balign	4
	.macro offsets names:vararg
	.irp	name, \names
	.long	op_\name - probe_ops
	.endr
	.endm
	/* In the order of enum op. */
	.globl	probe_offsets
probe_offsets:
	offsets	read, write, fetch, read8, read32, write8, write16, write32
	offsets	xchg, cmpxchg, cmpxchg8b, cmpxchg16b, add, and8, and, or, bts, btr
	offsets	rep_stos, rep_movs, push, pop, call, sse_store, sse_load
	offsets	stac_read, stac_write, clac_read, load_es, invlpg
	offsets	write_cr0, write_cr3, write_cr4, write_msr, invpcid, wrpkru, lmsw, clts
	.globl	probe_offsets_end
probe_offsets_end:
	.section .note.GNU-stack, "", @progbits
