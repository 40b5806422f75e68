package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"plugbeat/app"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/health"
	"plugbeat/webhook"
	"plugbeat/words"
)

func (d *doctor) checkConfig() {
	if d.file == "" {
		d.problem(checkConfig, "", "plugbeat init --dir DIR, or name the config: --config FILE, or export PLUGBEAT_CONFIG=FILE",
			"there is none at %s, and nothing names another", d.DefaultConfig)
		return
	}
	cfg, err := config.Load(d.file)
	var all *config.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.problem(checkConfig, d.file, "plugbeat init --dir DIR, or name another: --config FILE", "there is no such file")
		return
	case errors.Is(err, fs.ErrPermission):
		d.warn(checkConfig, d.file, sudo, "this user may not read it, so most of the rest cannot be looked at")
		return
	case errors.As(err, &all):
		for _, c := range all.Complaints {
			d.problem(checkConfig, d.file, "correct it, then: plugbeat check-config "+words.Shell(d.file), "%s", c)
		}
		return
	case err != nil:
		d.problem(checkConfig, d.file, "", "%v", err)
		return
	}
	d.cfg = &cfg
	if info, err := os.Stat(d.file); err == nil && info.Mode().Perm()&0o022 != 0 {
		d.problem(checkConfig, d.file, "chmod go-w "+words.Shell(d.file),
			"its mode %04o lets others change it, and with it where vehicles' data goes", info.Mode().Perm())
	}
	d.ok(checkConfig, d.file, "valid")
	for _, w := range cfg.Warnings() {
		text, mend := w, ""
		if i := strings.LastIndex(w, "; "); i > 0 {
			text, mend = w[:i], strings.TrimPrefix(w[i+2:], "run: ")
		}
		d.warn(checkConfig, "", mend, "%s", text)
	}
}

// checkSecrets looks at each file that holds one, and whether the key is the data
// file's.
func (d *doctor) checkSecrets() {
	if d.cfg == nil {
		return
	}
	if at := d.changedSince(d.file); !at.IsZero() {
		d.warn(checkConfig, d.file, "restart the daemon to apply it",
			"changed %s ago, after the daemon started: it still runs with what was there before", words.Span(d.now.Sub(at)))
	}
	readable := true
	for _, f := range d.cfg.SecretFiles() {
		bad, _ := errors.AsType[*webhook.Invalid](f.Err)
		_, err := os.ReadFile(f.Path)
		switch {
		case f.Err == nil:
			if at := d.changedSince(f.Path); !at.IsZero() {
				d.warn(checkSecret, f.Setting, "be sure it is the right one, then restart the daemon",
					"%s was changed %s ago, after the daemon started: the daemon still has the one before", f.Path, words.Span(d.now.Sub(at)))
				continue
			}
			d.ok(checkSecret, f.Setting, "%s can be read and is well-formed", f.Path)
		case f.Path != "" && errors.Is(err, fs.ErrPermission):
			readable = readable && f.Setting != "key_file"
			d.warn(checkSecret, f.Setting, sudo, "%s cannot be looked at by this user", f.Path)
		case bad != nil:
			readable = readable && f.Setting != "key_file"
			d.problem(checkSecret, f.Setting, "allowed: "+bad.Allowed, "%s", strings.TrimPrefix(f.Path+": "+bad.Why, ": "))
		}
	}
	switch {
	case d.st != nil:
		d.ok(checkSecret, "key_file", "the running daemon opened the data file with its key")
	case readable:
		d.tryKey()
	}
}

// tryKey opens the data file with the key, where no daemon has it open.
func (d *doctor) tryKey() {
	in, err := app.InspectData(*d.cfg)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.ok(checkData, d.cfg.DataFile(), "not there yet: the daemon makes it at its first start")
		d.asked = true
	case errors.Is(err, fs.ErrPermission):
		d.warn(checkData, d.cfg.DataFile(), sudo, "this user may not read it")
	case in.WrongKey:
		d.problem(checkSecret, "key_file", "put back the key that the data file was made with, or restore both from the same backup",
			"the key does not open %s: it was sealed with another", d.cfg.DataFile())
	case in.InUse:
		d.warn(checkData, d.cfg.DataFile(), "name that daemon's socket: --socket PATH", "another process has it open, and does not answer at %s",
			d.socket)
	case err != nil:
		d.problem(checkData, d.cfg.DataFile(), "plugbeat check, then restore a backup", "%v", err)
	default:
		d.asked = true
		d.ok(checkSecret, "key_file", "the key opens the data file")
		for _, w := range in.Webhooks {
			d.hooks = append(d.hooks, callback{w.Name, w.CallbackURI, w.AllowPrivate})
		}
	}
}

// checkData looks at the owners and modes of the data and its folder.
func (d *doctor) checkData() {
	if d.cfg == nil {
		return
	}
	dir := d.cfg.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.ok(checkData, dir, "not there yet: the daemon makes it at its first start")
		return
	case err != nil:
		d.warn(checkData, dir, sudo, "%v", reasonOf(err))
		return
	case !info.IsDir():
		d.problem(checkData, dir, "move it away, or set another data_dir", "it is no folder")
		return
	}
	fine := true
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		fine = false
		result := resultWarning
		if perm&0o022 != 0 {
			result = resultProblem
		}
		d.add(checkData, dir, result, "chmod 700 "+words.Shell(dir), "its mode %04o lets other users in: payloads hold where vehicles are", perm)
	}
	owner, _ := d.m.Owner(dir, info)
	file := d.cfg.DataFile()
	if f, err := os.Stat(file); err == nil {
		if perm := f.Mode().Perm(); perm&0o077 != 0 {
			fine = false
			d.warn(checkData, file, "chmod 600 "+words.Shell(file), "its mode %04o lets other users at it", perm)
		}
		if u, _ := d.m.Owner(file, f); u != owner {
			fine = false
			d.problem(checkData, file, fmt.Sprintf("chown --reference=%s %s", words.Shell(dir), words.Shell(file)),
				"it belongs to %s and its folder to %s: the daemon may not open it (was it started once as another user?)",
				terminal.UserName(u), terminal.UserName(owner))
		}
	}
	if uid, _, err := d.m.IDs(); err == nil && d.isService() && owner != uid && owner >= 0 {
		fine = false
		d.problem(checkData, dir, "plugbeat init --systemd, which sets owners right", "it belongs to %s, and the service runs as %s",
			terminal.UserName(owner), terminal.UserName(uid))
	}
	if fine {
		d.ok(checkData, dir, "owner and modes are right")
	}
}

// isService reports whether the config is the installed service's.
func (d *doctor) isService() bool {
	return d.file == d.m.At(machine.ConfigDir+"/"+config.FileName) && (d.m.There(machine.OwnUnit) || d.m.PackagedUnit() != "")
}

// leastFiles is how many files more a file system should take: a backup, a restore and a
// compaction make a few each.
const leastFiles = 100

// checkDisk looks at the file system the data is on.
func (d *doctor) checkDisk() {
	if d.cfg == nil {
		return
	}
	dir := d.cfg.DataDir
	for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
	}
	k, err := d.at.Disk(dir)
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			d.warn(checkDisk, dir, sudo, "%v", err)
		}
		return
	}
	if d.st == nil { // else the daemon has told
		f := webhook.DataFile{Path: d.cfg.DataFile(), Disk: webhook.Disk{FreeBytes: k.Free, MinFreeBytes: min(health.MinFree, k.Total/10)}}
		switch {
		case k.ReadOnly:
			f.State = webhook.DiskReadOnly
		case k.Free == 0:
			f.State = webhook.DiskFull
		}
		d.conditions(health.Judge(health.Facts{Now: d.now, Store: f}).Conditions)
	}
	if k.Files > 0 && k.FreeFiles < leastFiles {
		d.problem(checkDisk, dir, "remove files: the file system has no place for more, whatever their size", "%d inodes of %d are free",
			k.FreeFiles, k.Files)
	}
	d.ok(checkDisk, dir, "%s of %s are free", words.Size(k.Free), words.Size(k.Total))
	switch k.Kind {
	case "":
	case "tmpfs", "ramfs":
		d.warn(checkDisk, dir, "set data_dir to a folder on a disk", "it is on a %s, which is gone with the next boot", k.Kind)
	default:
		d.problem(checkDisk, dir, "set data_dir to a folder on a local disk",
			"it is on a file system of type %s: such a one may have no locks and no memory mapping, and the data file may be damaged", k.Kind)
	}
}

// checkBackups looks whether the data is copied to somewhere.
func (d *doctor) checkBackups() {
	if d.cfg == nil {
		return
	}
	folder := d.cfg.Backup.Folder
	if folder == "" {
		const mend = "set backup.folder (plugbeat config describe backup), or run plugbeat backup FILE from a timer of your own; " +
			"keep a copy of the sealing key elsewhere"
		d.warn(checkBackup, "", mend, "none are made by the daemon itself")
		return
	}
	const mount = "make the folder, or mount its disk"
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		why := "it is no folder"
		if err != nil {
			why = reasonOf(err)
		}
		d.problem(checkBackup, folder, mount, "%s", why)
		return
	}
	if d.st == nil || d.st.Backup == nil {
		d.ok(checkBackup, folder, "the folder is there")
		return
	}
	switch b := d.st.Backup; {
	case d.told(health.BackupFailed, health.BackupLate):
	case b.Last.IsZero():
		d.ok(checkBackup, folder, "the folder is there, and no backup is in it yet")
	default:
		d.ok(checkBackup, folder, "the last one is %s old, %s", words.Span(d.now.Sub(b.Last)), words.Size(b.LastBytes))
	}
}

// reasonOf is an error without the path that stands beside it already.
func reasonOf(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
