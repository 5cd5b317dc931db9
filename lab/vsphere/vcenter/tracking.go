package main

import (
	"fmt"
	"hash/maphash"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	block           = 64 << 10
	areasInOneReply = 200 // so that clients must ask on, as vCenter makes them with disks that changed a lot
)

// tracking knows what every tracked disk held at each of its change ids. A change id is "UUID/serial"; the UUID is new
// whenever tracking of the disk begins anew, and older ids are worth nothing then.
type tracking struct {
	mu     sync.Mutex
	seed   maphash.Seed
	epochs map[string]*epoch   // by VM and device key
	sums   map[string][]uint64 // by change id: a sum for each block, 0 for zeros
}

type epoch struct {
	uuid   string
	serial int
}

func newTracking() *tracking {
	return &tracking{seed: maphash.MakeSeed(), epochs: map[string]*epoch{}, sums: map[string][]uint64{}}
}

func trackingKey(vm types.ManagedObjectReference, device int32) string {
	return fmt.Sprintf("%s/%d", vm.Value, device)
}

// mark notes what a disk holds and returns its new change id.
func (t *tracking) mark(vm types.ManagedObjectReference, device int32, extent string) (string, error) {
	sums, err := t.read(extent)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := trackingKey(vm, device)
	if t.epochs[key] == nil {
		id := make([]byte, 16)
		rand.Read(id)
		text := fmt.Sprintf("% x", id)
		t.epochs[key] = &epoch{uuid: text[:23] + "-" + text[24:]}
	}
	t.epochs[key].serial++
	id := fmt.Sprintf("%s/%d", t.epochs[key].uuid, t.epochs[key].serial)
	t.sums[id] = sums
	return id, nil
}

// forget ends the tracking of a VM's disks: their change ids are not known any more.
func (t *tracking) forget(vm types.ManagedObjectReference) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, old := range t.epochs {
		if strings.HasPrefix(key, vm.Value+"/") {
			delete(t.epochs, key)
			for id := range t.sums {
				if strings.HasPrefix(id, old.uuid+"/") {
					delete(t.sums, id)
				}
			}
		}
	}
}

func (t *tracking) at(id string) ([]uint64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sums, known := t.sums[id]
	return sums, known
}

// read is the sum of every block of a file. Holes are not read.
func (t *tracking) read(name string) ([]uint64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	sums, buffer, zeros := make([]uint64, (info.Size()+block-1)/block), make([]byte, block), make([]byte, block)
	zero := maphash.Bytes(t.seed, zeros)
	err = eachData(file, info.Size(), func(start, end int64) error {
		for i := start / block; i*block < end; i++ {
			n, err := file.ReadAt(buffer, i*block)
			if err != nil && err != io.EOF {
				return err
			}
			copy(buffer[n:], zeros)
			if sum := maphash.Bytes(t.seed, buffer); sum != zero {
				sums[i] = sum | 1
			}
		}
		return nil
	})
	return sums, err
}

func (f *front) queryChangedDiskAreas(w http.ResponseWriter, body interface{}) {
	req := body.(*types.QueryChangedDiskAreas)
	vm, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		notFound(w, req.This)
		return
	}
	devices := vm.Config.Hardware.Device
	if req.Snapshot != nil {
		snapshot, ok := simulator.Map.Get(*req.Snapshot).(*simulator.VirtualMachineSnapshot)
		if !ok {
			notFound(w, *req.Snapshot)
			return
		}
		devices = snapshot.Config.Hardware.Device
	}
	disk, backing := flatDisk(devices, req.DeviceKey)
	switch {
	case disk == nil:
		invalidArgument(w, "deviceKey")
	case req.StartOffset < 0 || req.StartOffset >= disk.CapacityInBytes:
		invalidArgument(w, "startOffset")
	case backing.ChangeId == "":
		answerFault(w, "Error caused by file "+backing.FileName, "FileFault", "<file>"+escaped(backing.FileName)+"</file>")
	default:
		f.answerAreas(w, req, disk, backing)
	}
}

func (f *front) answerAreas(w http.ResponseWriter, req *types.QueryChangedDiskAreas, disk *types.VirtualDisk, backing *types.VirtualDiskFlatVer2BackingInfo) {
	now, known := f.tracked.at(backing.ChangeId)
	if req.Snapshot == nil && known { // the disk as it is, not as it was at its last change id
		var err error
		if now, err = f.tracked.read(extentOf(backing)); err != nil {
			answerFault(w, err.Error(), "FileFault", "<file>"+escaped(backing.FileName)+"</file>")
			return
		}
	}
	var then []uint64
	if req.ChangeId != "*" {
		var same bool
		then, same = f.tracked.at(req.ChangeId)
		known = known && same
	}
	if !known {
		invalidArgument(w, "changeId")
		return
	}
	var areas strings.Builder
	length, found := disk.CapacityInBytes-req.StartOffset, 0
	for i := req.StartOffset / block; i < int64(len(now)); {
		if !changed(now, then, i) {
			i++
			continue
		}
		if found == areasInOneReply {
			length = i*block - req.StartOffset
			break
		}
		start := i * block
		for i < int64(len(now)) && changed(now, then, i) {
			i++
		}
		end := i * block
		if start < req.StartOffset {
			start = req.StartOffset
		}
		if end > disk.CapacityInBytes {
			end = disk.CapacityInBytes
		}
		fmt.Fprintf(&areas, "<changedArea><start>%d</start><length>%d</length></changedArea>", start, end-start)
		found++
	}
	content := fmt.Sprintf("<returnval><startOffset>%d</startOffset><length>%d</length>%s</returnval>", req.StartOffset, length, areas.String())
	answer(w, "QueryChangedDiskAreas", content)
}

func changed(now, then []uint64, i int64) bool {
	if i < int64(len(then)) {
		return now[i] != then[i]
	}
	return now[i] != 0
}

func invalidArgument(w http.ResponseWriter, property string) {
	fields := "<invalidProperty>" + property + "</invalidProperty>"
	answerFault(w, "A specified parameter was not correct: "+property, "InvalidArgument", fields)
}

// reconfigure lets the simulator change a VM, and ends or begins the tracking of its disks.
func (f *front) reconfigure(w http.ResponseWriter, body interface{}) {
	req := body.(*types.ReconfigVM_Task)
	vm, ok := simulator.Map.Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		notFound(w, req.This)
		return
	}
	simulator.Map.WithLock(vm, func() {
		res := vm.ReconfigVMTask(f.context(), req)
		if wanted := req.Spec.ChangeTrackingEnabled; wanted != nil {
			f.track(vm, *wanted)
		}
		announce(vm)
		passOn(w, "ReconfigVM_Task", res)
	})
}

// track notes for each disk whether its changes are tracked, and forgets what was tracked when they are not any more.
func (f *front) track(vm *simulator.VirtualMachine, on bool) {
	if !on {
		f.tracked.forget(vm.Self)
	}
	devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
	for _, device := range devices {
		disk, backing := asFlat(device)
		if disk == nil {
			continue
		}
		if !on {
			backing.ChangeId = ""
		}
		if controller, ok := devices.FindByKey(disk.ControllerKey).(types.BaseVirtualController); ok && disk.UnitNumber != nil {
			key := fmt.Sprintf("%s%d:%d.ctkEnabled", bus(controller), controller.GetVirtualController().BusNumber, *disk.UnitNumber)
			setExtraConfig(vm, key, strings.ToUpper(fmt.Sprint(on)))
		}
	}
	setExtraConfig(vm, "ctkEnabled", strings.ToUpper(fmt.Sprint(on)))
}

func bus(controller types.BaseVirtualController) string {
	switch controller.(type) {
	case *types.VirtualIDEController:
		return "ide"
	case *types.VirtualAHCIController:
		return "sata"
	case *types.VirtualNVMEController:
		return "nvme"
	}
	return "scsi"
}

func setExtraConfig(vm *simulator.VirtualMachine, key, value string) {
	for _, option := range vm.Config.ExtraConfig {
		if known := option.GetOptionValue(); known.Key == key {
			known.Value = value
			return
		}
	}
	vm.Config.ExtraConfig = append(vm.Config.ExtraConfig, &types.OptionValue{Key: key, Value: value})
}

// announce tells those who wait for updates of what the simulator changes silently.
func announce(vm *simulator.VirtualMachine) {
	config := vm.Config
	changes := []types.PropertyChange{
		{Name: "name", Val: vm.Name},
		{Name: "config.annotation", Val: config.Annotation},
		{Name: "config.extraConfig", Val: config.ExtraConfig},
		{Name: "config.firmware", Val: config.Firmware},
		{Name: "config.guestFullName", Val: config.GuestFullName},
		{Name: "config.guestId", Val: config.GuestId},
		{Name: "config.hardware.memoryMB", Val: config.Hardware.MemoryMB},
		{Name: "config.hardware.numCPU", Val: config.Hardware.NumCPU},
		{Name: "config.hardware.numCoresPerSocket", Val: config.Hardware.NumCoresPerSocket},
	}
	for name, flag := range map[string]*bool{
		"config.changeTrackingEnabled": config.ChangeTrackingEnabled,
		"config.cpuHotAddEnabled":      config.CpuHotAddEnabled,
		"config.cpuHotRemoveEnabled":   config.CpuHotRemoveEnabled,
		"config.memoryHotAddEnabled":   config.MemoryHotAddEnabled,
		"config.nestedHVEnabled":       config.NestedHVEnabled,
	} {
		if flag != nil {
			changes = append(changes, types.PropertyChange{Name: name, Val: *flag})
		}
	}
	simulator.Map.Update(vm, changes)
}
