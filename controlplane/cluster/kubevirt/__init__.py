"""What KubeVirt does in a cluster, for the guests of this machine.

    VirtualMachine --> VirtualMachineInstance --> virt-launcher pod --> QEMU

Each of the three is watched over by one reconciler, and the program of the pod (datapath/guest) by nobody but its supervisor: it
goes on when the control plane is killed, and is found again.
"""
