import { expect } from 'chai'
import fc from 'fast-check'
import { compileGlob } from '../../../src/util/glob.js'

describe('util/glob', () => {
  const cases: [pattern: string, text: string, matches: boolean][] = [
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['?', '', false],
    ['?', '\u{1F600}', true],
    ['lunc?*', 'lunch plans', true],
    ['lunc?*', 'lunc', false],
    ['lunc?*', ' lunch', false],
    ['a*b*c', 'a--b--b-c', true],
    ['a*b*c', 'a--c', false],
    ['[a].c', '[a].c', true],
    ['[a].c', 'aXc', false],
    ['*.example.org', 'matrix.example.org', true],
    ['*.example.org', 'example.org', false],
  ]
  for (const [pattern, text, matches] of cases) {
    it(`${pattern} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () => {
      expect(compileGlob(pattern)(text)).to.equal(matches)
    })
  }

  it('ignores case where told to', () => {
    expect(compileGlob('LuNc?', { ignoreCase: true })('lUNCH')).to.equal(true)
    expect(compileGlob('LuNc?')('lUNCH')).to.equal(false)
  })

  const words: [pattern: string, text: string, matches: boolean][] = [
    ['cake', 'a piece of cake!', true],
    ['cake', 'cakes', false],
    ['cake', 'pancake', false],
    ['cake', 'pancake cake', true],
    ['ex*ple', 'An example event.', true],
    ['ex*ple', 'exple', true],
    ['ex*ple', 'An exciting triple-whammy', true],
    ['ex*ple', 'complex example', true],
    ['ex*ple', 'complexple', false],
    ['ex*ple', 'exples', false],
    ['c?ke', 'coke,cake', true],
    ['\u{3042}', 'x\u{3042}y', true],
    ['*', 'x', true],
    ['a', '', false],
  ]
  for (const [pattern, text, matches] of words) {
    it(`${pattern} ${matches ? 'is' : 'is not'} among the words of ${JSON.stringify(text)}`, () => {
      expect(compileGlob(pattern, { words: true })(text)).to.equal(matches)
    })
  }

  it('agrees with regular expressions', () => {
    const texts = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 12 })
    const globs = fc.string({ unit: fc.constantFrom('a', 'b', '-', '*', '?'), maxLength: 6 })
    fc.assert(
      fc.property(globs, texts, (glob, text) => {
        const source = glob.replaceAll('*', '.*').replaceAll('?', '.')
        expect(compileGlob(glob)(text)).to.equal(new RegExp(`^${source}$`).test(text))
        const boundary = '(?:(?<![a-z])|(?![a-z]))'
        const amongWords = new RegExp(boundary + source + boundary)
        expect(compileGlob(glob, { words: true })(text)).to.equal(amongWords.test(text))
      }),
      { numRuns: 2_000 },
    )
  })

  it('does not take long over patterns made to take long', () => {
    const started = performance.now()
    compileGlob(`${'*a'.repeat(100)}b`)('a'.repeat(20_000))
    compileGlob(`${'*a?'.repeat(100)}b`, { words: true })(`${'a'.repeat(20_000)}b `)
    expect(performance.now() - started).to.be.below(2_000)
  })
})
