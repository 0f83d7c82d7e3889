/* SPDX-License-Identifier: MIT */
/* Names by which one assembler text serves both widths. */
#ifndef TESTS_GUEST_REGISTERS_H
#define TESTS_GUEST_REGISTERS_H

#ifdef __x86_64__
#define AX    % rax
#define BX    % rbx
#define CX    % rcx
#define DX    % rdx
#define SI    % rsi
#define DI    % rdi
#define BP    % rbp
#define SP    % rsp
#define WORD  8
#define PUSH  pushq
#define PUSHF pushfq
#define POPF  popfq
#define IRET  iretq
#define STOS  stosq
#define MOVS  movsq
#define DATA  .quad
#else
#define AX    % eax
#define BX    % ebx
#define CX    % ecx
#define DX    % edx
#define SI    % esi
#define DI    % edi
#define BP    % ebp
#define SP    % esp
#define WORD  4
#define PUSH  pushl
#define PUSHF pushfl
#define POPF  popfl
#define IRET  iretl
#define STOS  stosl
#define MOVS  movsl
#define DATA  .long
#endif

/* Field of a struct probe. */
#define FIELD(name) (PROBE_##name * WORD)

#endif
