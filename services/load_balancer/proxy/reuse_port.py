"""Leaving a port on which another process listens, too (SO_REUSEPORT), without losing anybody.

The kernel spreads new connections over all that listen. Whoever has connected to us and is not
accepted when we close gets a reset. So newcomers are first sent to the other, by a program of one
instruction that the kernel asks for each of them; those who were ours already can be accepted then.
Source: socket(7), SO_ATTACH_REUSEPORT_CBPF; bpf(4) for the instruction.
"""

import ctypes
import os
import socket
import struct

SO_ATTACH_REUSEPORT_CBPF = 51  # <asm-generic/socket.h>; Python has no name for it
_RETURN_CONSTANT = 0x06  # BPF_RET | BPF_K
_THE_OTHER = 1  # they are numbered in the order in which they began to listen


def send_newcomers_to_the_other(listening: int) -> None:
    """`listening`: descriptor of a socket with SO_REUSEPORT. Where there is no other, the kernel
    takes no notice. OSError where it knows no such program."""
    instruction = ctypes.create_string_buffer(
        struct.pack("HBBI", _RETURN_CONSTANT, 0, 0, _THE_OTHER)
    )
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    with socket.socket(fileno=os.dup(listening)) as own:
        own.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program)
