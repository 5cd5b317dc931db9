package main

import (
	"fmt"
	"reflect"
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// newVMs completes each VM that is made.
type newVMs struct{}

func (*newVMs) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Lab", Value: "new-vms"}
}

func (*newVMs) PutObject(item mo.Reference) {
	if vm, ok := item.(*simulator.VirtualMachine); ok {
		complete(vm)
	}
}

func (*newVMs) UpdateObject(mo.Reference, []types.PropertyChange) {}

func (*newVMs) RemoveObject(types.ManagedObjectReference) {}

// complete gives a VM what vCenter tells of all VMs and the simulator of none.
func complete(vm *simulator.VirtualMachine) {
	vm.Capability.ChangeTrackingSupported = types.NewBool(true)
	vm.Capability.SnapshotOperationsSupported = true
	vm.Capability.MultipleSnapshotsSupported = true
	vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
	vm.Runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	vm.Runtime.ConsolidationNeeded = types.NewBool(false)
}

// renameDatastores gives datastores IDs like those of vCenter, instead of the paths of their folders.
func renameDatastores() {
	var datastores []*simulator.Datastore
	var objects []mo.Reference
	for _, entity := range simulator.Map.All("") {
		objects = append(objects, entity)
		switch item := entity.(type) {
		case *simulator.Datastore:
			datastores = append(datastores, item)
			objects = append(objects, simulator.Map.Get(item.Browser))
		case *simulator.HostSystem:
			if system := item.ConfigManager.DatastoreSystem; system != nil {
				objects = append(objects, simulator.Map.Get(*system))
			}
		}
	}
	sort.Slice(datastores, func(i, j int) bool { return datastores[i].Name < datastores[j].Name })
	names := map[types.ManagedObjectReference]string{}
	for i, datastore := range datastores {
		names[datastore.Self] = fmt.Sprintf("datastore-%d", i+1)
		simulator.Map.Remove(datastore.Self)
	}
	visited := map[pointer]bool{}
	for _, item := range objects {
		rename(reflect.ValueOf(item), names, visited)
	}
	for _, datastore := range datastores {
		simulator.Map.Put(datastore)
	}
}

// pointer tells a pointer to a struct from one to its first field.
type pointer struct {
	address uintptr
	kind    reflect.Type
}

// rename changes references wherever they are in a value.
func rename(value reflect.Value, names map[types.ManagedObjectReference]string, visited map[pointer]bool) {
	switch value.Kind() {
	case reflect.Ptr:
		here := pointer{value.Pointer(), value.Type()}
		if !value.IsNil() && !visited[here] {
			visited[here] = true
			rename(value.Elem(), names, visited)
		}
	case reflect.Interface:
		if !value.IsNil() {
			rename(value.Elem(), names, visited)
		}
	case reflect.Slice:
		for i := 0; i < value.Len(); i++ {
			rename(value.Index(i), names, visited)
		}
	case reflect.Struct:
		if ref, ok := value.Interface().(types.ManagedObjectReference); ok {
			if name, found := names[ref]; found && value.CanSet() {
				value.FieldByName("Value").SetString(name)
			}
			return
		}
		for i := 0; i < value.NumField(); i++ {
			if value.Type().Field(i).PkgPath == "" { // exported
				rename(value.Field(i), names, visited)
			}
		}
	}
}
