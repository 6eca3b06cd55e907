import { expect } from 'chai'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { AuthRoom, versions } from '../../support/auth-room.js'

const creator = '@creator:example.org'
const alice = '@alice:example.org'
const bob = '@bob:example.org'
const carol = '@carol:example.org'

/** Alice, with level 50 unless `levels` says otherwise, sets new power levels. */
function change(version: string, levels: JsonObject | undefined, content: JsonObject): string {
  const room = new AuthRoom(version, {
    creator,
    members: { [alice]: 'join', [creator]: 'join' },
    ...(levels && { levels: { users: { [alice]: 50 }, ...levels } }),
  })
  return room.verdict({
    type: 'm.room.power_levels',
    sender: levels ? alice : creator,
    stateKey: '',
    content: levels && !('users' in content) ? { users: { [alice]: 50 }, ...content } : content,
  })
}

const PLAIN = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite']

describe('checkPowerLevels: format', () => {
  it('wants plain levels to be integers from version 10 on (10.1)', () => {
    for (const name of PLAIN) {
      for (const value of ['50', 1.5, null, true, [], {}] as JsonValue[]) {
        for (const version of versions(1, 9))
          expect(change(version, undefined, { [name]: value })).to.equal('allowed')
        for (const version of versions(10, 12))
          expect(change(version, undefined, { [name]: value })).to.equal('10.1')
      }
      for (const version of versions(1, 12))
        expect(change(version, undefined, { [name]: 50 })).to.equal('allowed')
    }
  })

  it('wants objects of integers from version 10 on (10.2)', () => {
    for (const name of ['events', 'notifications']) {
      for (const value of ['50', null, [], { x: '50' }, { x: null }, { x: 1.5 }, { x: {} }] as JsonValue[]) {
        for (const version of versions(1, 9))
          expect(change(version, undefined, { [name]: value })).to.equal('allowed')
        for (const version of versions(10, 12))
          expect(change(version, undefined, { [name]: value })).to.equal('10.2')
      }
      expect(change('12', undefined, { [name]: { x: 1 } })).to.equal('allowed')
    }
  })

  it('wants users to be levels by user ID in every version (10.3)', () => {
    const refused: JsonValue[] = [
      null,
      'x',
      [],
      5,
      { alice: 1 },
      { '@alice': 1 },
      { [alice]: null },
      { [alice]: 'x' },
    ]
    for (const version of versions(1, 12)) {
      for (const users of refused) expect(change(version, undefined, { users })).to.equal('10.3')
      expect(change(version, undefined, { users: { [alice]: 1 } })).to.equal('allowed')
      expect(change(version, undefined, {})).to.equal('allowed')
    }
  })

  it('takes levels in texts up to version 9, and fractions up to version 5 (10.3)', () => {
    for (const version of versions(1, 12)) {
      const expected = Number(version) < 10 ? 'allowed' : '10.3'
      expect(change(version, undefined, { users: { [alice]: ' 50 ' } })).to.equal(expected)
      const fraction = Number(version) < 6 ? 'allowed' : '10.3'
      expect(change(version, undefined, { users: { [alice]: 50.5 } })).to.equal(fraction)
    }
  })

  it('wants no creators among users in version 12 (10.4)', () => {
    for (const version of versions(1, 12)) {
      const expected = version === '12' ? '10.4' : 'allowed'
      expect(change(version, undefined, { users: { [creator]: 100 } })).to.equal(expected)
    }
    const room = new AuthRoom('12', {
      members: { [creator]: 'join' },
      createContent: { additional_creators: [bob] },
    })
    const levels = { type: 'm.room.power_levels', sender: creator, stateKey: '' }
    expect(room.verdict({ ...levels, content: { users: { [bob]: 100 } } })).to.equal('10.4')
    expect(room.verdict({ ...levels, content: { users: { [carol]: 100 } } })).to.equal('allowed')
  })
})

describe('checkPowerLevels: changes', () => {
  for (const version of versions(1, 12)) {
    it(`lets the first power levels be anything in version ${version} (10.5)`, () => {
      expect(change(version, undefined, { ban: 1000, users: { [bob]: 1000 } })).to.equal('allowed')
    })

    for (const name of PLAIN) {
      it(`guards ${name} in version ${version} (10.6)`, () => {
        // Alice must be able to send it at all.
        const base = { events: { 'm.room.power_levels': 0 } }
        const from = (before: number | undefined, after: number | undefined): string =>
          change(
            version,
            { ...base, ...(before !== undefined && { [name]: before }) },
            { ...base, ...(after !== undefined && { [name]: after }) },
          )
        expect(from(51, 50)).to.equal('10.6.1')
        expect(from(51, undefined)).to.equal('10.6.1')
        expect(from(50, 51)).to.equal('10.6.2')
        expect(from(undefined, 51)).to.equal('10.6.2')
        expect(from(51, 51)).to.equal('allowed')
        expect(from(50, 49)).to.equal('allowed')
        expect(from(50, undefined)).to.equal('allowed')
        expect(from(undefined, 50)).to.equal('allowed')
      })
    }

    for (const object of ['events', 'notifications']) {
      it(`guards ${object} in version ${version} (10.7, 10.8)`, () => {
        const from = (before: JsonObject, after: JsonObject): string =>
          change(version, { [object]: before }, { [object]: after })
        const guarded = object === 'events' || Number(version) >= 6
        const expected = (rule: string): string => (guarded ? rule : 'allowed')
        expect(from({ x: 51 }, { x: 50 })).to.equal(expected('10.7'))
        expect(from({ x: 51 }, {})).to.equal(expected('10.7'))
        expect(from({ x: 50 }, { x: 51 })).to.equal(expected('10.8'))
        expect(from({}, { x: 51 })).to.equal(expected('10.8'))
        expect(from({ x: 51 }, { x: 51 })).to.equal('allowed')
        expect(from({ x: 50 }, {})).to.equal('allowed')
        expect(from({}, { x: 50 })).to.equal('allowed')
        expect(from({}, { constructor: 50 })).to.equal('allowed')
      })
    }

    it(`guards users in version ${version} (10.9, 10.10)`, () => {
      const from = (before: JsonObject, after: JsonObject): string =>
        change(version, { users: { [alice]: 50, ...before } }, { users: { [alice]: 50, ...after } })
      expect(from({ [bob]: 50 }, { [bob]: 49 })).to.equal('10.9')
      expect(from({ [bob]: 50 }, {})).to.equal('10.9')
      expect(from({ [bob]: 51 }, { [bob]: 51 })).to.equal('allowed')
      expect(from({ [bob]: 49 }, { [bob]: 50 })).to.equal('allowed')
      expect(from({ [bob]: 49 }, { [bob]: 51 })).to.equal('10.10')
      expect(from({ [bob]: 49 }, {})).to.equal('allowed')
      expect(from({}, { [bob]: 51 })).to.equal('10.10')
      expect(from({}, { [bob]: 50 })).to.equal('allowed')
      // Oneself
      expect(change(version, {}, { users: { [alice]: 10 } })).to.equal('allowed')
      expect(change(version, {}, { users: { [alice]: 51 } })).to.equal('10.10')
      expect(change(version, {}, { users: {} })).to.equal('allowed')
    })
  }

  it('compares levels in texts as numbers', () => {
    expect(change('9', { ban: '50' }, { ban: 50 })).to.equal('allowed')
    expect(change('9', { ban: '60' }, { ban: 60 })).to.equal('allowed')
    expect(change('9', { ban: '60' }, { ban: 61 })).to.equal('10.6.1')
  })

  it('lets creators of version 12 change everything', () => {
    const room = new AuthRoom('12', {
      members: { [creator]: 'join' },
      levels: { users: { [bob]: 1000 }, ban: 1000, events: { x: 1000 } },
    })
    const content = { users: { [bob]: 1 }, ban: 2000, events: {} }
    const event = { type: 'm.room.power_levels', sender: creator, stateKey: '', content }
    expect(room.verdict(event)).to.equal('allowed')
  })
})
