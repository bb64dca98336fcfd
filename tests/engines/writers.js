// Writes archives with npm's `tar` and `tar-stream`: ARCHIVE KIND PATHS...
const { createRequire } = require('module')
const { createWriteStream } = require('fs')
const load = createRequire(process.env.LAYERCAGE_NODE_MODULES + '/node_modules/')
const [archive, kind, ...paths] = process.argv.slice(2)

if (kind.startsWith('tar-stream')) {
  // Its defaults, and its corners: names that need PAX records, owners beyond the octal field.
  const pack = load('tar-stream').pack()
  pack.pipe(createWriteStream(archive))
  // A time before 1970 is written with a minus sign, behind zeros where the field has room for them.
  const early = { 'tar-stream-1960': new Date('1960-01-01T00:00:00Z'), 'tar-stream-1969': new Date('1969-06-01T00:00:00Z') }
  const mtime = new Date('2001-02-03T04:05:06Z')
  pack.entry({ name: 'directory', type: 'directory', mode: 0o750, mtime })
  pack.entry({ name: 'directory/file', mode: 0o640, mtime }, 'content')
  pack.entry({ name: 'directory/early', mtime: early[kind] ?? mtime }, 'old')
  pack.entry({ name: 'directory/' + 'n'.repeat(200), mtime }, 'long')
  pack.entry({ name: 'directory/grün', mtime }, 'utf')
  pack.entry({ name: 'directory/owned', uid: 12, gid: 34, uname: 'a', gname: 'b', mtime }, 'owned')
  pack.entry({ name: 'directory/hard', type: 'link', linkname: 'directory/file', mode: 0o640, mtime })
  pack.entry({ name: 'directory/link', type: 'symlink', linkname: 'file', mtime })
  pack.entry({ name: 'directory/pipe', type: 'fifo', mode: 0o600, mtime })
  pack.entry({ name: 'directory/pax', mtime, pax: { 'SCHILY.xattr.user.text': 'value' } }, 'attributes')
  pack.finalize()
} else {
  const options = { file: archive, sync: true, portable: kind === 'tar-portable', gzip: kind === 'tar-gzip' }
  load('tar').create(options, paths)
}
