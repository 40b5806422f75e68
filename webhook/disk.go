package webhook

// DiskState is what the data file's disk lets be done.
type DiskState string

// The states of the disk, the worst last.
const (
	// DiskOK means that changes can be kept.
	DiskOK DiskState = "ok"
	// DiskFull means that the last commit found no space. Nothing is read or
	// delivered until one does.
	DiskFull DiskState = "full"
	// DiskReadOnly means that the file system takes no writes. Nothing is read or
	// delivered until it does.
	DiskReadOnly DiskState = "read_only"
)

// DiskStates lists every state of the disk, the worst last.
var DiskStates = [...]DiskState{DiskOK, DiskFull, DiskReadOnly}

// Writable reports whether changes can be kept.
func (s DiskState) Writable() bool { return s != DiskFull && s != DiskReadOnly }

// unwritable is an error of a disk that took nothing.
type unwritable string

func (u unwritable) Error() string { return string(u) }

// Is makes every such error an [ErrUnwritable].
func (unwritable) Is(target error) bool { return target == ErrUnwritable }
