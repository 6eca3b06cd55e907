import { expect } from 'chai'
import fc from 'fast-check'
import type { UserId } from '../../../../../src/protocol/ids.js'
import { RequiredState } from '../../../../../src/services/sync/sliding-sync/required-state.js'
import type { JsonValue } from '../../../../../src/util/json.js'

const ME = '@me:hs.test' as UserId
const TYPES = ['m.room.member', 'm.room.name', 'org.example.x']
const KEYS = ['', '@me:hs.test', 'a', 'b']

describe('RequiredState', () => {
  const of = (...pairs: (readonly [string, string])[]): RequiredState => RequiredState.of(pairs, ME)
  const pair = fc.tuple(
    fc.constantFrom(...TYPES, '*'),
    fc.constantFrom(...KEYS, '*', '$ME', '$LAZY'),
  ) as fc.Arbitrary<readonly [string, string]>
  const anyState = fc.array(pair, { maxLength: 5 }).map((pairs) => of(...pairs))

  /** The pieces that are asked for, of all that the tests know. */
  function piecesOf(state: RequiredState): string[] {
    return TYPES.flatMap((type) =>
      KEYS.flatMap((key) => (state.matches(type, key) ? [`${type}/${key}`] : [])),
    )
  }

  it('takes single pieces, all of a type, one key of all types, and everything', () => {
    expect(piecesOf(of(['m.room.name', '']))).to.deep.equal(['m.room.name/'])
    expect(piecesOf(of(['m.room.member', '$ME']))).to.deep.equal(['m.room.member/@me:hs.test'])
    expect(piecesOf(of(['org.example.x', '*']))).to.have.length(KEYS.length)
    expect(piecesOf(of(['*', 'a']))).to.have.length(TYPES.length)
    expect(piecesOf(of(['*', '*']))).to.have.length(TYPES.length * KEYS.length)
    expect(piecesOf(of())).to.deep.equal([])
  })

  it('takes of everything, for types that are named, only the keys that are', () => {
    const narrowed = of(['*', '*'], ['org.example.x', 'a'])
    expect(narrowed.matches('org.example.x', 'a')).to.equal(true)
    expect(narrowed.matches('org.example.x', 'b')).to.equal(false)
    expect(narrowed.matches('m.room.name', '')).to.equal(true)
    const lazy = of(['m.room.member', '$LAZY'], ['*', '*'])
    expect(lazy.lazyMembers).to.equal(true)
    expect(lazy.matches('m.room.member', 'a')).to.equal(false)
    expect(lazy.matches('m.room.name', '')).to.equal(true)
    expect(of(['m.room.name', '$LAZY']).lazyMembers).to.equal(false)
  })

  it('leaves out what is excluded, whoever asks for it by what', () => {
    const state = of(['*', '*'], ['m.room.member', '$LAZY']).without([
      ['m.room.name', '*'],
      ['*', 'a'],
      ['m.room.member', '*'],
    ])
    expect(piecesOf(state)).to.deep.equal(['org.example.x/', 'org.example.x/@me:hs.test', 'org.example.x/b'])
    expect(state.lazyMembers).to.equal(true)
    const read = RequiredState.fromJson(JSON.parse(state.toJson()) as JsonValue)
    expect(piecesOf(read)).to.deep.equal(piecesOf(state))
    expect(of(['*', '*']).exceeds(state)).to.equal(true)
    expect(state.exceeds(of(['*', '*']))).to.equal(false)
    expect(piecesOf(state.union(of(['m.room.name', ''])))).to.include('m.room.name/')
    expect(piecesOf(state.union(state))).to.deep.equal(piecesOf(state))
  })

  it('unites to what either asks for, no less and no more', () => {
    fc.assert(
      fc.property(anyState, anyState, (a, b) => {
        const both = a.union(b)
        expect(piecesOf(both)).to.deep.equal([...new Set([...piecesOf(a), ...piecesOf(b)])].sort(byPlace))
        expect(both.lazyMembers).to.equal(a.lazyMembers || b.lazyMembers)
      }),
    )
  })

  it('exceeds what does not cover all of its pieces', () => {
    fc.assert(
      fc.property(anyState, anyState, (a, b) => {
        const known = new Set(piecesOf(b))
        const isNew = piecesOf(a).some((piece) => !known.has(piece))
        // What no test knows may be new too: a wildcard is more than all that is known.
        if (isNew) expect(a.exceeds(b)).to.equal(true)
        expect(a.exceeds(a.union(b))).to.equal(false)
      }),
    )
  })

  it('never takes for known what was dropped and has changed', () => {
    fc.assert(
      fc.property(
        anyState,
        anyState,
        fc.constantFrom(...TYPES),
        fc.constantFrom(...KEYS),
        (a, b, type, key) => {
          const followed = a.followedBy(b, (t, k) => t === type && k === key)
          if (!b.matches(type, key)) expect(followed.matches(type, key)).to.equal(false)
          for (const piece of piecesOf(b)) expect(piecesOf(followed)).to.include(piece)
          for (const piece of piecesOf(followed)) {
            const [ofType = '', ofKey = ''] = piece.split('/')
            expect(a.matches(ofType, ofKey) || b.matches(ofType, ofKey)).to.equal(true)
          }
        },
      ),
    )
  })

  it('remembers only so much of what was dropped, and nothing that was never told', () => {
    let followed = of()
    for (let round = 0; round < 5; round++) {
      const next = of(...Array.from({ length: 90 }, (_, n) => [`org.example.${round}.${n}`, ''] as const))
      followed = followed.followedBy(next, undefined)
      expect(followed.exceeds(next) || round > 0).to.equal(round > 0)
      expect(followed.types.size).to.be.at.most(190)
    }
    const hidden = of(['m.room.name', ''], ['org.example.x', '']).without([['m.room.name', '*']])
    expect(piecesOf(hidden.followedBy(of(), undefined))).to.deep.equal(['org.example.x/'])
  })

  it('is the same after it was written and read', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const read = RequiredState.fromJson(JSON.parse(state.toJson()) as JsonValue)
        expect(read.toJson()).to.equal(state.toJson())
        expect(piecesOf(read)).to.deep.equal(piecesOf(state))
      }),
    )
  })
})

function byPlace(a: string, b: string): number {
  const place = (piece: string): number => {
    const [type = '', key = ''] = piece.split('/')
    return TYPES.indexOf(type) * KEYS.length + KEYS.indexOf(key)
  }
  return place(a) - place(b)
}
