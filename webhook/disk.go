package webhook

import "github.com/google/uuid"

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

// unwritable is an error of a disk that took nothing.
type unwritable string

func (u unwritable) Error() string { return string(u) }

// Is makes every such error an [ErrUnwritable].
func (unwritable) Is(target error) bool { return target == ErrUnwritable }

// Disk is what the file system of the data file has left.
type Disk struct {
	// State is what the last write and the file system let be done.
	State DiskState `json:"state"`
	// FreeBytes is what plugbeat's user may still take and TotalBytes the size of the file
	// system; both are 0 where that is not known. MinFreeBytes is what should be free.
	FreeBytes    int64 `json:"disk_free_bytes"`
	TotalBytes   int64 `json:"disk_total_bytes"`
	MinFreeBytes int64 `json:"min_free_bytes"`
	// LiveBytes is what of the data file is in use. Retention holds it against MaxBytes.
	LiveBytes int64 `json:"live_bytes"`
}

// DataFile describes the data file.
type DataFile struct {
	Path string `json:"path"`
	Disk
	Instance uuid.UUID `json:"instance_id"`
	Schema   int       `json:"schema"`
	// FileBytes is the file's size on disk, which never shrinks by itself. MaxBytes is the
	// max_size above which waiting deliveries expire; 0 for no bound.
	FileBytes int64 `json:"file_bytes"`
	MaxBytes  int64 `json:"max_bytes,omitempty"`
	// FreePages is how many pages of the file hold nothing.
	FreePages int `json:"free_pages"`
	// Commits and Operations count since the file was opened; their quotient is the mean
	// size of a group.
	Commits    uint64 `json:"commits"`
	Operations uint64 `json:"operations"`
	// Vehicles, Subscriptions and Waiting count the records of those kinds.
	Vehicles      int    `json:"vehicles"`
	Subscriptions int    `json:"subscriptions"`
	Waiting       uint64 `json:"waiting"`
}

// FileProblem is one thing in the data file that cannot be as it is.
type FileProblem struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Text   string `json:"text"`
}

// String returns "bucket key: text".
func (p FileProblem) String() string { return p.Bucket + " " + p.Key + ": " + p.Text }
