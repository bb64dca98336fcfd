// Reads archives with archive/tar, and says what it sees, in the form that peers.py has.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

const largestFile = 1 << 20

// Each byte as the character of its number.
func text(name string) string {
	characters := make([]rune, 0, len(name))
	for _, character := range []byte(name) {
		characters = append(characters, rune(character))
	}
	return string(characters)
}

var kinds = map[byte]string{
	tar.TypeLink:    "HardLink",
	tar.TypeSymlink: "Symlink",
	tar.TypeDir:     "Directory",
	tar.TypeFifo:    "Fifo",
	tar.TypeChar:    "Character",
	tar.TypeBlock:   "Block",
	tar.TypeReg:     "File",
	tar.TypeRegA:    "File",
	tar.TypeCont:    "File",
	'S':             "File",
}

func read(archive []byte) ([]any, error) {
	items := []any{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return items, nil
		}
		if err != nil {
			return nil, err
		}
		// Engines pass over these.
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		kind, known := kinds[header.Typeflag]
		if !known {
			kind = "Other"
		}
		size, content := 0, ""
		if kind == "File" {
			data, err := io.ReadAll(io.LimitReader(reader, largestFile+1))
			if err != nil {
				return nil, err
			}
			if len(data) > largestFile {
				return nil, errors.New("too large to compare")
			}
			size, content = len(data), fmt.Sprintf("%x", sha256.Sum256(data))
		}
		time := header.ModTime
		items = append(items, []any{
			text(header.Name), kind, size, content, text(header.Linkname), header.Devmajor, header.Devminor,
			header.Mode & 0o7777, header.Uid, header.Gid, time.Unix(), time.Nanosecond(),
		})
	}
}

func main() {
	input, output := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	output.Encode(map[string]string{"archive/tar": strings.TrimPrefix(runtime.Version(), "go")})
	for {
		var length uint32
		if binary.Read(input, binary.LittleEndian, &length) != nil {
			return
		}
		archive := make([]byte, length)
		if _, err := io.ReadFull(input, archive); err != nil {
			return
		}
		answer := map[string]any{}
		if items, err := read(archive); err != nil {
			answer["error"] = err.Error()
		} else {
			answer["items"] = items
		}
		output.Encode(map[string]any{"archive/tar": answer})
	}
}
