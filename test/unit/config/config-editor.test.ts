import { expect } from 'chai'
import { ConfigEditor, ownerOf } from '../../../src/config/config-editor.js'

const YAML = `# The server.
server_name: a.org # its name

database:
  name: sqlite3 # or psycopg2
  args: {database: a.db}
listeners: [{port: 8008, resources: [{names: [client]}]}]
email:
yes_no: yes
secret: "\${SECRET}"
`

describe('ConfigEditor', () => {
  it('changes what it is told to, and nothing else', () => {
    const editor = new ConfigEditor('a.yaml', YAML)
    expect(editor.toString()).to.equal(YAML)
    editor.set(['database', 'args', 'database'], '/srv/b.db')
    expect(editor.toString()).to.equal(YAML.replace('a.db', '/srv/b.db'))
  })

  it('makes the maps on the way, also where a key stands without a value', () => {
    const editor = new ConfigEditor('a.yaml', YAML)
    editor.set(['email', 'subjects', 'x'], 'y')
    editor.set(['old_signing_keys', 'ed25519:a'], { key: 'k', expired_ts: 5 })
    expect(editor.get(['email'])).to.deep.equal({ subjects: { x: 'y' } })
    expect(editor.get(['old_signing_keys', 'ed25519:a', 'expired_ts'])).to.equal(5)
    expect(editor.toString()).to.match(/^# The server\.\nserver_name: a\.org # its name\n/)
  })

  it('reads what stands there', () => {
    const editor = new ConfigEditor('a.yaml', YAML)
    expect(editor.get(['database', 'args'])).to.deep.equal({ database: 'a.db' })
    expect(editor.get(['email'])).to.equal(undefined)
    expect(editor.get(['nothing', 'here'])).to.equal(undefined)
    expect(editor.get(['listeners', 0, 'port'])).to.equal(8008)
    editor.delete(['secret'])
    expect(editor.get(['secret'])).to.equal(undefined)
  })

  it('refuses what is no map', () => {
    expect(() => new ConfigEditor('a.yaml', '- 1')).to.throw('a.yaml: the file must hold a map')
    expect(() => new ConfigEditor('a.yaml', 'a: [')).to.throw('a.yaml: ')
  })

  it('knows in which of several files a key counts', () => {
    const first = new ConfigEditor('1.yaml', 'a: 1\nb: 1\n')
    const second = new ConfigEditor('2.yaml', 'b: 2\n')
    expect(ownerOf([first, second], 'b')).to.equal(second)
    expect(ownerOf([first, second], 'a')).to.equal(first)
    expect(ownerOf([first, second], 'c')).to.equal(first)
  })
})
