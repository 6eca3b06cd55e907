import { expect } from 'chai'
import fc from 'fast-check'
import {
  checkFilter,
  EventFilter,
  NO_EVENT_FILTER,
  NO_FILTER,
  parseFilter,
  selectsRoom,
} from '../../../src/protocol/event-filter.js'
import type { JsonObject } from '../../../src/util/json.js'

const message = {
  type: 'm.room.message',
  sender: '@alice:hs.test',
  roomId: '!room:hs.test',
  content: { body: 'hi' } as JsonObject,
}

function passes(filter: JsonObject, subject = message): boolean {
  return new EventFilter(filter).matches(subject)
}

describe('event filters', () => {
  it('let everything through when they are empty', () => {
    expect(NO_EVENT_FILTER.matches(message)).to.equal(true)
    expect(NO_EVENT_FILTER.passesNothing).to.equal(false)
    expect(NO_FILTER.eventFormat).to.equal('client')
    expect(NO_FILTER.room.includeLeave).to.equal(false)
  })

  const cases: [JsonObject, boolean][] = [
    [{ types: ['m.room.message'] }, true],
    [{ types: ['m.room.*'] }, true],
    [{ types: ['*'] }, true],
    [{ types: ['m.*.message'] }, true],
    [{ types: ['*message*'] }, true],
    [{ types: ['m.room'] }, false],
    [{ types: ['m.room.message*x'] }, false],
    [{ types: [] }, false],
    [{ not_types: [] }, true],
    [{ not_types: ['m.room.message'] }, false],
    [{ types: ['m.room.message'], not_types: ['m.*'] }, false],
    [{ senders: ['@alice:hs.test'] }, true],
    [{ senders: ['@bob:hs.test'] }, false],
    [{ senders: [] }, false],
    [{ senders: ['@alice:hs.test'], not_senders: ['@alice:hs.test'] }, false],
    [{ rooms: ['!room:hs.test'] }, true],
    [{ rooms: ['!other:hs.test'] }, false],
    [{ not_rooms: ['!room:hs.test'] }, false],
    [{ contains_url: false }, true],
    [{ contains_url: true }, false],
    [{ 'org.matrix.labels': ['x'] }, false],
    [{ 'org.matrix.not_labels': ['x'] }, true],
    [{ rel_types: ['m.thread'] }, false],
    [{ not_rel_types: ['m.thread'] }, true],
    [{ unknown: 1 }, true],
  ]
  for (const [filter, expected] of cases) {
    it(`${JSON.stringify(filter)} ${expected ? 'takes' : 'drops'} a message`, () => {
      expect(passes(filter)).to.equal(expected)
    })
  }

  it('look for a url that is a string', () => {
    expect(passes({ contains_url: true }, { ...message, content: { url: 'mxc://a/b' } })).to.equal(true)
    expect(passes({ contains_url: true }, { ...message, content: { url: 3 } })).to.equal(false)
    expect(passes({ contains_url: false }, { ...message, content: { url: 'mxc://a/b' } })).to.equal(false)
  })

  it('judge labels and relations', () => {
    const labelled = { ...message, content: { 'org.matrix.labels': ['x', 'y'] } }
    expect(passes({ 'org.matrix.labels': ['x'] }, labelled)).to.equal(true)
    expect(passes({ 'org.matrix.not_labels': ['y'] }, labelled)).to.equal(false)
    const threaded = { ...message, content: { 'm.relates_to': { rel_type: 'm.thread', event_id: '$a' } } }
    expect(passes({ rel_types: ['m.thread'] }, threaded)).to.equal(true)
    expect(passes({ not_rel_types: ['m.thread'] }, threaded)).to.equal(false)
  })

  it('drop what has no sender when senders are asked for', () => {
    expect(new EventFilter({ senders: ['@alice:hs.test'] }).matches({ type: 'm.tag' })).to.equal(false)
    expect(new EventFilter({ not_senders: ['@alice:hs.test'] }).matches({ type: 'm.tag' })).to.equal(true)
  })

  it('say when nothing can pass, and which types can', () => {
    expect(new EventFilter({ types: [] }).passesNothing).to.equal(true)
    expect(new EventFilter({ types: ['a'] }).exactTypes).to.deep.equal(['a'])
    expect(new EventFilter({ types: ['a*'] }).exactTypes).to.equal(undefined)
  })

  it('match wildcards as the pattern says, however many there are', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 12 })
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
    fc.assert(
      fc.property(pattern, text, (glob, type) => {
        const regex = new RegExp(`^${glob.replaceAll('*', '.*')}$`)
        expect(new EventFilter({ types: [glob] }).allowsType(type)).to.equal(regex.test(type))
      }),
      { numRuns: 2000 },
    )
  })

  it('take no long time over hostile patterns', () => {
    const filter = new EventFilter({ types: ['*a'.repeat(5_000) + '*b'] })
    const started = performance.now()
    expect(filter.allowsType('a'.repeat(20_000))).to.equal(false)
    expect(performance.now() - started).to.be.below(500)
  })
})

describe('filters', () => {
  it('have a part for each kind of thing', () => {
    const filter = parseFilter({
      event_fields: ['type', 'content.body'],
      event_format: 'federation',
      presence: { types: [] },
      account_data: { not_types: ['*'] },
      room: {
        rooms: ['!a:hs.test'],
        not_rooms: ['!b:hs.test'],
        include_leave: true,
        timeline: { limit: 5, unread_thread_notifications: true },
        state: { lazy_load_members: true, include_redundant_members: true },
        ephemeral: { types: ['m.receipt'] },
        account_data: { types: ['m.tag'] },
      },
    })
    expect(filter.eventFields).to.deep.equal([['type'], ['content', 'body']])
    expect(filter.eventFormat).to.equal('federation')
    expect(filter.presence.passesNothing).to.equal(true)
    expect(filter.accountData.allowsType('m.direct')).to.equal(false)
    expect(filter.room.includeLeave).to.equal(true)
    expect(filter.room.timeline.limit).to.equal(5)
    expect(filter.room.timeline.unreadThreadNotifications).to.equal(true)
    expect(filter.room.state.lazyLoadMembers).to.equal(true)
    expect(filter.room.state.includeRedundantMembers).to.equal(true)
    expect(filter.room.ephemeral.allowsType('m.typing')).to.equal(false)
    expect(filter.room.accountData.allowsType('m.tag')).to.equal(true)
    expect(selectsRoom(filter.room, '!a:hs.test')).to.equal(true)
    expect(selectsRoom(filter.room, '!b:hs.test')).to.equal(false)
    expect(selectsRoom(filter.room, '!c:hs.test')).to.equal(false)
  })

  it('read the unstable name of thread counts', () => {
    const timeline = { 'org.matrix.msc3773.unread_thread_notifications': true }
    expect(parseFilter({ room: { timeline } }).room.timeline.unreadThreadNotifications).to.equal(true)
  })

  it('take null for absent', () => {
    checkFilter({ room: null, event_fields: null, presence: { types: null } })
  })

  const wrong: [JsonObject, string][] = [
    [{ presence: 'no object' }, 'M_BAD_JSON'],
    [{ room: { timeline: [] } }, 'M_BAD_JSON'],
    [{ room: { timeline: { types: 'no list' } } }, 'M_BAD_JSON'],
    [{ room: { timeline: { types: [1] } } }, 'M_BAD_JSON'],
    [{ room: { timeline: { limit: '10' } } }, 'M_BAD_JSON'],
    [{ room: { timeline: { limit: 1.5 } } }, 'M_BAD_JSON'],
    [{ room: { timeline: { limit: -1 } } }, 'M_INVALID_PARAM'],
    [{ room: { timeline: { rooms: ['not_a_room_id'] } } }, 'M_INVALID_PARAM'],
    [{ room: { timeline: { senders: ['not_a_sender_id'] } } }, 'M_INVALID_PARAM'],
    [{ room: { include_leave: 'yes' } }, 'M_BAD_JSON'],
    [{ event_format: 'other' }, 'M_INVALID_PARAM'],
    [{ event_fields: 'type' }, 'M_BAD_JSON'],
  ]
  for (const [filter, errcode] of wrong) {
    it(`refuse ${JSON.stringify(filter)} with ${errcode}`, () => {
      expect(() => checkFilter(filter))
        .to.throw()
        .with.property('errcode', errcode)
    })
  }
})
