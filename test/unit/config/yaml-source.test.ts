import { expect } from 'chai'
import { ConfigError } from '../../../src/config/config-error.js'
import { YamlSource } from '../../../src/config/yaml-source.js'

const TEXT = `server_name: example.org
listeners:
  - port: 8008
    names: [client, federation]
tls: yes
mode: 0660
old_signing_keys:
  "ed25519:a": { key: abc }
`

describe('YamlSource', () => {
  const source = new YamlSource('a.yaml', TEXT)

  it('reads YAML 1.1, as Synapse does', () => {
    expect(source.values['mode']).to.equal(0o660)
    expect(new YamlSource('b.yaml', 'a: yes\nb: Off\nc: y\nd: N\n').values).to.deep.equal({
      a: true,
      b: false,
      c: 'y',
      d: 'N',
    })
  })

  it('says where values are', () => {
    expect(source.locate(['server_name'])).to.deep.equal({ file: 'a.yaml', line: 1, column: 14 })
    expect(source.locate(['listeners', 0, 'names', 1])).to.deep.equal({ file: 'a.yaml', line: 4, column: 21 })
    expect(source.locate(['old_signing_keys', 'ed25519:a', 'key'])).to.include({ line: 8, column: 23 })
  })

  it('says where keys are', () => {
    expect(source.locateKey(['listeners', 0, 'port'])).to.include({ line: 3, column: 5 })
    expect(source.locateKey(['mode'])).to.include({ line: 6, column: 1 })
  })

  it('says what is nearest to what is not there', () => {
    expect(source.locate(['listeners', 0, 'tls'])).to.include({ line: 3, column: 5 })
    expect(source.locate(['nothing'])).to.include({ line: 1, column: 1 })
  })

  it('lets the last of repeated keys count', () => {
    const repeated = new YamlSource('b.yaml', 'a: 1\na: 2\n')
    expect(repeated.values).to.deep.equal({ a: 2 })
    expect(repeated.locateKey(['a'])).to.include({ line: 2 })
  })

  it('takes an empty file for an empty map', () => {
    expect(new YamlSource('c.yaml', '# nothing\n').values).to.deep.equal({})
  })

  it('refuses what is no YAML, and says where', () => {
    expect(() => new YamlSource('d.yaml', 'a: 1\nb: [\n')).to.throw(ConfigError, /^d\.yaml:3:1: /)
  })

  it('refuses what is no map', () => {
    expect(() => new YamlSource('e.yaml', '- a\n- b\n')).to.throw(ConfigError, /e\.yaml:1:1: .*map/)
  })
})
