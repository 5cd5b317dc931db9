package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

var numbered = regexp.MustCompile(`-(\d{6})\.vmdk$`)

// asFlat is the disk and its backing if a device is a disk in a flat file, nil otherwise.
func asFlat(device types.BaseVirtualDevice) (*types.VirtualDisk, *types.VirtualDiskFlatVer2BackingInfo) {
	disk, ok := device.(*types.VirtualDisk)
	if !ok {
		return nil, nil
	}
	backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if !ok {
		return nil, nil
	}
	return disk, backing
}

func flatDisk(devices []types.BaseVirtualDevice, key int32) (*types.VirtualDisk, *types.VirtualDiskFlatVer2BackingInfo) {
	for _, device := range devices {
		if disk, backing := asFlat(device); disk != nil && disk.Key == key {
			return disk, backing
		}
	}
	return nil, nil
}

// descriptorOf is the local path of a disk's descriptor.
func descriptorOf(backing *types.VirtualDiskFlatVer2BackingInfo) string {
	var path object.DatastorePath
	path.FromString(backing.FileName)
	if backing.Datastore != nil {
		if datastore, ok := simulator.Map.Get(*backing.Datastore).(*simulator.Datastore); ok {
			return filepath.Join(datastore.Info.GetDatastoreInfo().Url, path.Path)
		}
	}
	return ""
}

// extentOf is the local path of the file that holds a disk's bytes.
func extentOf(backing *types.VirtualDiskFlatVer2BackingInfo) string {
	return strings.TrimSuffix(descriptorOf(backing), ".vmdk") + "-flat.vmdk"
}

// nextFile names the file with which a VM goes on after a snapshot: the first free NAME-00000N.vmdk.
func nextFile(backing *types.VirtualDiskFlatVer2BackingInfo) string {
	base, number := strings.TrimSuffix(backing.FileName, ".vmdk"), 0
	if match := numbered.FindStringSubmatch(backing.FileName); match != nil {
		base = strings.TrimSuffix(backing.FileName, match[0])
		number, _ = strconv.Atoi(match[1])
	}
	for next := *backing; ; {
		number++
		next.FileName = fmt.Sprintf("%s-%06d.vmdk", base, number)
		if _, err := os.Stat(descriptorOf(&next)); os.IsNotExist(err) {
			return next.FileName
		}
	}
}

// writeDescriptor writes the small text file that names the extent of a disk.
func writeDescriptor(backing *types.VirtualDiskFlatVer2BackingInfo, size int64) error {
	text := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"+
		"RW %d VMFS \"%s\"\nddb.adapterType = \"lsilogic\"\n", size/512, filepath.Base(extentOf(backing)))
	return os.WriteFile(descriptorOf(backing), []byte(text), 0o600)
}

// copyDisk copies the bytes of a disk into a new file, holes as holes.
func copyDisk(from, to *types.VirtualDiskFlatVer2BackingInfo) error {
	source, err := os.Open(extentOf(from))
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.Create(extentOf(to))
	if err != nil {
		return err
	}
	defer target.Close()
	if err := target.Truncate(info.Size()); err != nil {
		return err
	}
	err = eachData(source, info.Size(), func(start, end int64) error {
		if _, err := target.Seek(start, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(target, io.NewSectionReader(source, start, end-start))
		return err
	})
	if err != nil {
		return err
	}
	return writeDescriptor(to, info.Size())
}

func renameDisk(from, to *types.VirtualDiskFlatVer2BackingInfo) {
	_ = os.Rename(extentOf(from), extentOf(to))
	if info, err := os.Stat(extentOf(to)); err == nil {
		_ = writeDescriptor(to, info.Size())
	}
	_ = os.Remove(descriptorOf(from))
}

const (
	seekData = 3
	seekHole = 4
)

// eachData calls back with the start and end of everything in a file that is not a hole.
func eachData(file *os.File, size int64, call func(start, end int64) error) error {
	fd := int(file.Fd())
	for offset := int64(0); offset < size; {
		start, err := syscall.Seek(fd, offset, seekData)
		if err == syscall.ENXIO {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := syscall.Seek(fd, start, seekHole)
		if err != nil {
			return err
		}
		if err := call(start, end); err != nil {
			return err
		}
		offset = end
	}
	return nil
}
