package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// newVMs gives each new VM what vCenter tells of all VMs and the simulator of none.
type newVMs struct{}

func (*newVMs) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Lab", Value: "new-vms"}
}

func (*newVMs) PutObject(item mo.Reference) {
	vm, ok := item.(*simulator.VirtualMachine)
	if !ok {
		return
	}
	vm.Capability.ChangeTrackingSupported = types.NewBool(true)
	vm.Capability.SnapshotOperationsSupported = true
	vm.Capability.MultipleSnapshotsSupported = true
	vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
	vm.Runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	vm.Runtime.ConsolidationNeeded = types.NewBool(false)
}

func (*newVMs) UpdateObject(mo.Reference, []types.PropertyChange) {}

func (*newVMs) RemoveObject(types.ManagedObjectReference) {}
