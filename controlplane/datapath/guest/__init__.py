"""Guests that run: QEMU with the hardware of a VirtualMachineInstance, watched over by the program of its virt-launcher pod."""
