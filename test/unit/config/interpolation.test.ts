import { expect } from 'chai'
import fc from 'fast-check'
import { ConfigError } from '../../../src/config/config-error.js'
import { YamlSource } from '../../../src/config/yaml-source.js'

describe('interpolate', () => {
  function read(text: string, env: Record<string, string> = {}): unknown {
    return new YamlSource('a.yaml', text, env).values
  }

  it('replaces names in values, wherever they stand', () => {
    const text = 'a: "x${A}y${B_2}"\nb: [{c: "${A}"}]\nd: |\n  ${A}\n'
    expect(read(text, { A: '1', B_2: '2' })).to.deep.equal({ a: 'x1y2', b: [{ c: '1' }], d: '1\n' })
  })

  it('leaves keys, comments and what is no reference alone', () => {
    const text = '"${A}": 1 # ${NONE}\nb: "$A ${a} $(A) ${} ${A-x} 100$"\n'
    expect(read(text, { A: 'x' })).to.deep.equal({ '${A}': 1, b: '$A ${a} $(A) ${} ${A-x} 100$' })
  })

  it('takes two dollars for the text itself', () => {
    expect(read('a: "$${A} ${A}"', { A: 'x' })).to.deep.equal({ a: '${A} x' })
  })

  it('reads a value that is one reference as if it stood there, unless it is quoted or a secret', () => {
    const text =
      'a: ${N}\nb: "${N}"\nc: ${T}\nd: x${N}\nturn_password: ${N}\nargs: {password: "${N}"}\nsmtp:\n  smtp_pass: ${N}\n'
    expect(read(text, { N: '8008', T: 'yes' })).to.deep.equal({
      ...{ a: 8008, b: '8008', c: true, d: 'x8008' },
      ...{ turn_password: '8008', args: { password: '8008' }, smtp: { smtp_pass: '8008' } },
    })
  })

  it('makes no lists, maps or further references of what a variable holds', () => {
    const values = fc.constantFrom(
      '[1]',
      '{a: 1}',
      '${B}',
      '&a x',
      '*a',
      '- x',
      'a: b',
      '# x',
      '',
      '!!binary x',
      '"',
    )
    fc.assert(
      fc.property(values, (value) => {
        expect(read('a: ${A}\n', { A: value, B: 'no' })).to.deep.equal({ a: value })
      }),
    )
  })

  it('says where a variable is named that is not set', () => {
    expect(() => read('a: 1\nb:\n  - "${NONE}"\n')).to.throw(ConfigError, /^a\.yaml:3:5: .* NONE is not set/)
    expect(() => read('a: "${NONE} ${OTHER}"\n')).to.throw(/NONE is not set.*\n.*OTHER is not set/)
  })

  it('does nothing where there is no environment', () => {
    expect(new YamlSource('a.yaml', 'a: ${A}\n').values).to.deep.equal({ a: '${A}' })
  })
})
