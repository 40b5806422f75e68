package terminal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"plugbeat/words"
)

// UserName is the name of a user id, or the id.
func UserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// FolderError says of a failed write what is the matter with the folder that it was to go
// to, and what to do. Path is the file or folder that was to be made; any other error it
// returns as it is.
func FolderError(err error, path, elsewhere string) error {
	dir := filepath.Dir(path)
	// What is missing or closed may lie further up.
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, serr := os.Stat(dir); serr == nil {
			break
		}
	}
	switch wanted := filepath.Dir(path); {
	case errors.Is(err, fs.ErrNotExist) && dir != wanted:
		return Hint(fmt.Errorf("there is no folder %s", wanted), "make it: mkdir -p %s", words.Shell(wanted))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return Hint(fmt.Errorf("%s may not write in %s", UserName(os.Geteuid()), dir), "%s", elsewhere)
	case errors.Is(err, syscall.EROFS):
		return Hint(fmt.Errorf("%s is on a file system that is mounted read-only", dir), "%s", elsewhere)
	case errors.Is(err, syscall.ENOSPC):
		return Hint(fmt.Errorf("no space is left in %s", dir), "make room, or %s", elsewhere)
	case circle(path) != "":
		return Hint(fmt.Errorf("the symbolic links at %s lead in a circle", circle(path)), "%s", elsewhere)
	case errors.Is(err, syscall.ENOTDIR):
		return Hint(fmt.Errorf("%s: not a directory", notFolder(path)), "%s", elsewhere)
	}
	return err
}

// notFolder is what stands on the way to a path and is no folder.
func notFolder(path string) string {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			return p
		}
	}
	return path
}

// circle is the symbolic link on the way to a path that leads back to itself; empty for none.
func circle(path string) (link string) {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		if _, err := os.Stat(p); errors.Is(err, syscall.ELOOP) {
			link = p
		}
	}
	return link
}

// ClosedSocket says whose daemon a socket is that this user may not speak to, and what to do
// about it.
func ClosedSocket(path string) (text, mend string) {
	const dirBit, socketBit fs.FileMode = 0o010, 0o020 // of a group that may go in, or write
	closed, need := path, socketBit
	info, err := os.Lstat(closed)
	for err != nil && closed != filepath.Dir(closed) {
		closed, need = filepath.Dir(closed), dirBit
		info, err = os.Lstat(closed)
	}
	if err != nil {
		return "this user may not speak to the daemon", "run this as root: sudo plugbeat"
	}
	uid, gid := OwnerOf(closed, info)
	owner := UserName(uid)
	text = "this user may not speak to the daemon, which is " + owner + "'s"
	mend = fmt.Sprintf("run it as %[1]s: sudo -u %[1]s plugbeat ...", strings.Replace(words.Shell(owner), "'user ", "'#", 1))
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil && info.Mode().Perm()&need != 0 && gid != 0 {
		mend = fmt.Sprintf("join its group: sudo usermod -aG %s $USER, then log in again\nor %s", g.Name, mend)
	}
	return text, mend
}
