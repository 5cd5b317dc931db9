package main

import (
	"net/http"
	"os"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// A snapshot freezes the files of the disks. As on vSphere, the VM goes on with new files, NAME-00000N.vmdk, and when the
// snapshot is removed, what comes after it in the chain takes its place and its file name. Unlike there, each file holds the whole
// disk, so that the disk at any snapshot can be read from the datastore.

// state is the VM's disks now or at a snapshot.
type state struct{ devices []types.BaseVirtualDevice }

func (s state) disk(key int32) *types.VirtualDiskFlatVer2BackingInfo {
	_, backing := flatDisk(s.devices, key)
	return backing
}

func (f *front) createSnapshot(w http.ResponseWriter, body interface{}) {
	req := body.(*types.CreateSnapshot_Task)
	vm, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		notFound(w, req.This)
		return
	}
	simulator.Map.WithLock(vm, func() {
		devices, err := f.freeze(vm)
		if err != nil {
			answerFault(w, err.Error(), "FileFault", "<file/>")
			return
		}
		res := vm.CreateSnapshotTask(req)
		update(vm, devices)
		passOn(w, "CreateSnapshot_Task", res)
	})
}

// freeze leaves the files of the disks as they are and returns the VM's devices with copies of them.
func (f *front) freeze(vm *simulator.VirtualMachine) ([]types.BaseVirtualDevice, error) {
	var devices []types.BaseVirtualDevice
	for _, device := range vm.Config.Hardware.Device {
		disk, backing := asFlat(device)
		if disk == nil || backing.DiskMode != string(types.VirtualDiskModePersistent) && backing.DiskMode != "" {
			devices = append(devices, device) // independent disks have no snapshots
			continue
		}
		if on := vm.Config.ChangeTrackingEnabled; on != nil && *on {
			id, err := f.tracked.mark(vm.Self, disk.Key, extentOf(backing))
			if err != nil {
				return nil, err
			}
			backing.ChangeId = id
		}
		next, err := continued(backing)
		if err != nil {
			return nil, err
		}
		successor := *disk
		successor.Backing = next
		devices = append(devices, &successor)
	}
	return devices, nil
}

// continued is a backing in a new file with the content of the given one, which is its parent.
func continued(backing *types.VirtualDiskFlatVer2BackingInfo) (*types.VirtualDiskFlatVer2BackingInfo, error) {
	next, parent := *backing, *backing
	next.Parent = &parent
	next.FileName = nextFile(backing)
	if err := copyDisk(backing, &next); err != nil {
		return nil, err
	}
	return &next, nil
}

func update(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) {
	simulator.Map.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
}

func (f *front) removeSnapshot(w http.ResponseWriter, body interface{}) {
	req := body.(*types.RemoveSnapshot_Task)
	snapshot, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		notFound(w, req.This)
		return
	}
	vm := simulator.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
	var gone []types.ManagedObjectReference
	simulator.Map.WithLock(vm, func() {
		node, parent := find(vm.Snapshot.RootSnapshotList, req.This, nil)
		gone = []types.ManagedObjectReference{req.This}
		if req.RemoveChildren {
			gone = append(all(node.ChildSnapshotList), gone...)
		}
		foldAll(vm, gone)
		// The simulator knows the current snapshot's parent only when it has one.
		if current := vm.Snapshot.CurrentSnapshot; current != nil && contains(gone, *current) {
			vm.Snapshot.CurrentSnapshot = parent
		}
		update(vm, vm.Config.Hardware.Device)
	})
	var res soap.HasFault
	simulator.Map.WithLock(snapshot, func() {
		res = snapshot.RemoveSnapshotTask(f.context(), req)
	})
	for _, ref := range gone {
		simulator.Map.Remove(ref)
	}
	if task, ok := simulator.Map.Get(taskOf(res)).(*simulator.Task); ok {
		task.Info.Entity = &vm.Self // the simulator says the snapshot, which is no entity
	}
	passOn(w, "RemoveSnapshot_Task", res)
}

func (f *front) removeAllSnapshots(w http.ResponseWriter, body interface{}) {
	req := body.(*types.RemoveAllSnapshots_Task)
	vm, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		notFound(w, req.This)
		return
	}
	simulator.Map.WithLock(vm, func() {
		if vm.Snapshot != nil {
			foldAll(vm, all(vm.Snapshot.RootSnapshotList))
			update(vm, vm.Config.Hardware.Device)
		}
		passOn(w, "RemoveAllSnapshots_Task", vm.RemoveAllSnapshotsTask(f.context(), req))
	})
}

func (f *front) revertToSnapshot(w http.ResponseWriter, body interface{}) {
	req := body.(*types.RevertToSnapshot_Task)
	snapshot, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		notFound(w, req.This)
		return
	}
	vm := simulator.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
	var err error
	simulator.Map.WithLock(vm, func() { err = returnTo(vm, snapshot) })
	if err != nil {
		answerFault(w, err.Error(), "FileFault", "<file/>")
		return
	}
	res := snapshot.RevertToSnapshotTask(req)
	if task, ok := simulator.Map.Get(taskOf(res)).(*simulator.Task); ok {
		task.Info.Entity = &vm.Self
	}
	passOn(w, "RevertToSnapshot_Task", res)
}

func (f *front) revertToCurrentSnapshot(w http.ResponseWriter, body interface{}) {
	req := body.(*types.RevertToCurrentSnapshot_Task)
	vm, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		notFound(w, req.This)
		return
	}
	var res soap.HasFault = &methods.RevertToCurrentSnapshot_TaskBody{Fault_: simulator.Fault("snapshot not found", &types.NotFound{})}
	simulator.Map.WithLock(vm, func() {
		if vm.Snapshot != nil && vm.Snapshot.CurrentSnapshot != nil {
			if err := returnTo(vm, simulator.Map.Get(*vm.Snapshot.CurrentSnapshot).(*simulator.VirtualMachineSnapshot)); err != nil {
				res = &methods.RevertToCurrentSnapshot_TaskBody{Fault_: simulator.Fault(err.Error(), &types.FileFault{})}
				return
			}
			res = vm.RevertToCurrentSnapshotTask(req)
		}
	})
	passOn(w, "RevertToCurrentSnapshot_Task", res)
}

// returnTo gives the VM copies of the disks of a snapshot.
func returnTo(vm *simulator.VirtualMachine, snapshot *simulator.VirtualMachineSnapshot) error {
	var devices []types.BaseVirtualDevice
	for _, device := range vm.Config.Hardware.Device {
		disk, present := asFlat(device)
		if disk == nil || present.Parent == nil {
			devices = append(devices, device)
			continue
		}
		frozen := state{snapshot.Config.Hardware.Device}.disk(disk.Key)
		if frozen == nil { // added after the snapshot
			continue
		}
		next, err := continued(frozen)
		if err != nil {
			return err
		}
		removeDisk(present)
		restored := *disk
		restored.Backing = next
		devices = append(devices, &restored)
	}
	update(vm, devices)
	return nil
}

func foldAll(vm *simulator.VirtualMachine, refs []types.ManagedObjectReference) {
	for i, ref := range refs {
		fold(vm, ref, refs[:i])
	}
}

// fold takes the disks of a snapshot out of the chains: the only successor of a disk takes over its file name. Where a
// disk has several, its file stays, as their common parent. `folded`: snapshots that are out of the chains already.
func fold(vm *simulator.VirtualMachine, ref types.ManagedObjectReference, folded []types.ManagedObjectReference) {
	snapshot, ok := simulator.Map.Get(ref).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return
	}
	states := []state{{vm.Config.Hardware.Device}}
	for _, other := range all(vm.Snapshot.RootSnapshotList) {
		if s, ok := simulator.Map.Get(other).(*simulator.VirtualMachineSnapshot); ok && other != ref && !contains(folded, other) {
			states = append(states, state{s.Config.Hardware.Device})
		}
	}
	for _, device := range snapshot.Config.Hardware.Device {
		disk, frozen := asFlat(device)
		if disk == nil {
			continue
		}
		var successors []*types.VirtualDiskFlatVer2BackingInfo
		used := false
		for _, s := range states {
			if backing := s.disk(disk.Key); backing != nil {
				used = used || backing.FileName == frozen.FileName
				if backing.Parent != nil && backing.Parent.FileName == frozen.FileName {
					successors = append(successors, backing)
				}
			}
		}
		switch {
		case used || len(successors) > 1:
		case len(successors) == 0:
			removeDisk(frozen)
		default:
			old := successors[0].FileName
			renameDisk(successors[0], frozen)
			for _, s := range states {
				for backing := s.disk(disk.Key); backing != nil; backing = backing.Parent {
					if backing.FileName == old {
						backing.FileName, backing.Parent = frozen.FileName, frozen.Parent
					}
				}
			}
		}
	}
}

// find returns the node of a snapshot and its parent's reference.
func find(tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference, parent *types.ManagedObjectReference) (*types.VirtualMachineSnapshotTree, *types.ManagedObjectReference) {
	for i := range tree {
		if tree[i].Snapshot == ref {
			return &tree[i], parent
		}
		if node, above := find(tree[i].ChildSnapshotList, ref, &tree[i].Snapshot); node != nil {
			return node, above
		}
	}
	return nil, nil
}

// all lists the snapshots of a tree, children before their parents.
func all(tree []types.VirtualMachineSnapshotTree) []types.ManagedObjectReference {
	var refs []types.ManagedObjectReference
	for i := range tree {
		refs = append(append(refs, all(tree[i].ChildSnapshotList)...), tree[i].Snapshot)
	}
	return refs
}

func contains(refs []types.ManagedObjectReference, ref types.ManagedObjectReference) bool {
	for _, other := range refs {
		if other == ref {
			return true
		}
	}
	return false
}

// entity is the managed entity that a reference belongs to: the VM of a snapshot.
func entity(ref types.ManagedObjectReference) *types.ManagedObjectReference {
	if snapshot, ok := simulator.Map.Get(ref).(*simulator.VirtualMachineSnapshot); ok {
		ref = snapshot.Vm
	}
	return &ref
}

func active(res soap.HasFault) bool {
	return res.(*methods.SessionIsActiveBody).Res.Returnval
}

func removeDisk(backing *types.VirtualDiskFlatVer2BackingInfo) {
	_ = os.Remove(extentOf(backing))
	_ = os.Remove(descriptorOf(backing))
}
