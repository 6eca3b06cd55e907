import { expect } from 'chai'
import {
  mayReadEvent,
  parseHistoryVisibility,
  type HistoryVisibility,
} from '../../../src/protocol/history-visibility.js'
import { plainEvent, rulesOf } from '../../support/auth-room.js'

const VISIBILITIES: HistoryVisibility[] = ['world_readable', 'shared', 'invited', 'joined']
const MEMBERSHIPS = ['join', 'invite', 'leave', 'ban', 'knock', undefined]

describe('mayReadEvent', () => {
  /** Who may read: by visibility, the memberships at the event; and whether joining later helps. */
  const table: Record<HistoryVisibility, { memberships: (string | undefined)[]; later: boolean }> = {
    world_readable: { memberships: MEMBERSHIPS, later: true },
    shared: { memberships: ['join'], later: true },
    invited: { memberships: ['join', 'invite'], later: false },
    joined: { memberships: ['join'], later: false },
  }
  for (const visibility of VISIBILITIES) {
    for (const membership of MEMBERSHIPS) {
      for (const joinedLater of [false, true]) {
        it(`${visibility}, ${membership ?? 'never in'}${joinedLater ? ', joined later' : ''}`, () => {
          const at = { visibility, membership }
          const { memberships, later } = table[visibility]
          const expected = memberships.includes(membership) || (joinedLater && later)
          expect(mayReadEvent({ before: at, after: at }, joinedLater)).to.equal(expected)
        })
      }
    }
  }

  it('takes the more generous of what was and what came', () => {
    const closed = { visibility: 'joined', membership: 'leave' } as const
    const open = { visibility: 'world_readable', membership: 'leave' } as const
    expect(mayReadEvent({ before: closed, after: open }, false)).to.be.true
    expect(mayReadEvent({ before: open, after: closed }, false)).to.be.true
    const joined = { visibility: 'joined', membership: 'join' } as const
    expect(mayReadEvent({ before: joined, after: closed }, false)).to.be.true
    expect(mayReadEvent({ before: closed, after: joined }, false)).to.be.true
  })
})

describe('parseHistoryVisibility', () => {
  const parse = (value: string | number | null): HistoryVisibility =>
    parseHistoryVisibility(
      plainEvent(rulesOf('12'), {
        type: 'm.room.history_visibility',
        sender: '@a:b',
        stateKey: '',
        content: { history_visibility: value },
      }),
    )

  it('knows four values and takes all else for shared', () => {
    for (const visibility of VISIBILITIES) expect(parse(visibility)).to.equal(visibility)
    for (const value of ['public', '', 5, null]) expect(parse(value)).to.equal('shared')
    expect(parseHistoryVisibility(undefined)).to.equal('shared')
  })
})
