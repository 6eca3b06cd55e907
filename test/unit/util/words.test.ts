import { expect } from 'chai'
import fc from 'fast-check'
import {
  foldText,
  namePrefixesOf,
  nameTermsOf,
  parseSearchTerm,
  spellingsIn,
  wordsOf,
} from '../../../src/util/words.js'

describe('util/words', () => {
  it('folds case, accents and compatibility variants', () => {
    const pairs = [
      ['Gáo Shān', 'gao shan'],
      ['Gáo', 'gao'],
      ['STRASSE', 'straße'],
      ['ＡＢＣ１', 'abc1'],
      ['ΣΊΣΥΦΟΣ', 'σισυφος'],
      ['Łódź Ærø', 'lodz aero'],
      ['ﬁne', 'FINE'],
      ['מִשְׁפָּחָה', 'משפחה'],
      ['مُحَمَّدـــ', 'محمد'],
      ['Ёлка', 'елка'],
    ] as const
    for (const [a, b] of pairs) expect(foldText(a), a).to.equal(foldText(b))
  })

  it('keeps what makes other words in other scripts', () => {
    expect(foldText('が')).not.to.equal(foldText('か'))
    expect(foldText('कि')).not.to.equal(foldText('क'))
    expect(foldText('서울')).to.equal('서울')
  })

  it('takes texts apart: words where there are spaces, characters where there are none', () => {
    expect(wordsOf("Hello, wörld: don't a_b x2!")).to.deep.equal([
      'hello',
      'world',
      'don',
      't',
      'a',
      'b',
      'x2',
    ])
    expect(wordsOf('我住在北京')).to.deep.equal(['我', '住', '在', '北', '京'])
    expect(wordsOf('東京タワーVer2')).to.deep.equal(['東', '京', 'タ', 'ワ', 'ー', 'ver2'])
    expect(wordsOf('❤️ 🎉👍🏽🇩🇪🇫🇷')).to.deep.equal(['❤', '🎉', '👍', '🇩🇪', '🇫🇷'])
    expect(wordsOf('... --- !!!')).to.deep.equal([])
  })

  it('makes words that databases take, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const word of wordsOf(text)) {
          expect(word).to.match(/^[\p{L}\p{N}\p{M}\p{Extended_Pictographic}\p{Regional_Indicator}\ufffd]+$/u)
          expect(word.isWellFormed()).to.equal(true)
          expect(word).not.to.match(/['"\\\s]/)
        }
      }),
    )
  })

  it('bounds what it takes in', () => {
    expect(wordsOf('x'.repeat(1_000_000))).to.deep.equal(['x'.repeat(64)])
    expect(wordsOf('x '.repeat(1_000_000), 3)).to.deep.equal(['x', 'x', 'x'])
    expect(parseSearchTerm('a '.repeat(1000)).phrases).to.have.length(50)
  })

  it('looks for words as they are written, and for quoted ones in their order', () => {
    expect(parseSearchTerm('Big "bad Wolf" foo-bar').phrases).to.deep.equal([
      ['big'],
      ['bad', 'wolf'],
      ['foo'],
      ['bar'],
    ])
    expect(parseSearchTerm('say "hi').phrases).to.deep.equal([['say'], ['hi']])
    expect(parseSearchTerm('北京天气').highlights).to.deep.equal(['北京', '天气'])
    expect(parseSearchTerm('!?').phrases).to.deep.equal([])
  })

  it('finds any part of a text without spaces', () => {
    const text = '今日はとても良い天気ですね'
    const words = wordsOf(text).join(' ')
    for (const part of ['天気', 'とても', '良い天気']) {
      for (const phrase of parseSearchTerm(part).phrases) expect(words, part).to.include(phrase.join(' '))
    }
  })

  it('tells how words are written that are compared in another form', () => {
    const highlights = new Set(['hello', 'strasse', '東京'])
    expect(spellingsIn('Héllo héllo HELLO, die Straße nach 東京', highlights)).to.deep.equal([
      'héllo',
      'straße',
    ])
    expect(spellingsIn('Hello hello', highlights)).to.deep.equal([])
  })

  it('finds names by the beginnings of their words', () => {
    const finds = (name: string, typed: string): boolean =>
      namePrefixesOf(typed).every((prefix) => nameTermsOf(name).some((term) => term.startsWith(prefix)))
    expect(finds('Gáo Shān', 'shan ga')).to.equal(true)
    expect(finds('Gáo Shān', 'hān')).to.equal(false)
    expect(finds('田中太郎', '中太')).to.equal(true)
    expect(finds('สมชาย ใจดี', 'ชาย')).to.equal(true)
    expect(finds('김철수', '철수')).to.equal(true)
    expect(finds('@john.doe_2:hs.test', '@doe')).to.equal(true)
    expect(nameTermsOf('名'.repeat(500))).to.have.length(64)
  })
})
