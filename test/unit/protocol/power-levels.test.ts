import { expect } from 'chai'
import fc from 'fast-check'
import {
  CREATOR_POWER_LEVEL,
  parseLevel,
  parsePowerLevels,
  requiredPowerLevel,
  roomCreators,
  userPowerLevel,
} from '../../../src/protocol/power-levels.js'
import type { JsonObject } from '../../../src/util/json.js'
import { AuthRoom, plainEvent, rulesOf, versions } from '../../support/auth-room.js'

const alice = '@alice:example.org'

function levelsOf(version: string, content: JsonObject): ReturnType<typeof parsePowerLevels> {
  const rules = rulesOf(version)
  return parsePowerLevels(
    rules,
    plainEvent(rules, { type: 'm.room.power_levels', sender: alice, stateKey: '', content }),
  )
}

describe('parseLevel', () => {
  const cases: [value: unknown, v1: number | undefined, v6: number | undefined, v10: number | undefined][] = [
    [50, 50, 50, 50],
    [-7, -7, -7, -7],
    ['50', 50, 50, undefined],
    ['000100', 100, 100, undefined],
    [' +100 ', 100, 100, undefined],
    ['-100', -100, -100, undefined],
    [50.57, 50, undefined, undefined],
    [-50.57, -50, undefined, undefined],
    [5.114698e4, 51146, undefined, undefined],
    [Infinity, undefined, undefined, undefined],
    ['50.5', undefined, undefined, undefined],
    ['1e3', undefined, undefined, undefined],
    ['0x10', undefined, undefined, undefined],
    ['', undefined, undefined, undefined],
    [`1${'0'.repeat(400)}`, undefined, undefined, undefined],
    [null, undefined, undefined, undefined],
    [true, undefined, undefined, undefined],
    [[50], undefined, undefined, undefined],
    [{}, undefined, undefined, undefined],
  ]
  for (const [value, v1, v6, v10] of cases) {
    it(`reads ${JSON.stringify(value).slice(0, 30)}`, () => {
      expect(parseLevel(rulesOf('1'), value)).to.equal(v1)
      expect(parseLevel(rulesOf('6'), value)).to.equal(v6)
      expect(parseLevel(rulesOf('9'), value)).to.equal(v6)
      expect(parseLevel(rulesOf('10'), value)).to.equal(v10)
    })
  }

  it('reads every integer, as itself and as text', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (level) => {
        expect(parseLevel(rulesOf('12'), level)).to.equal(level)
        expect(parseLevel(rulesOf('9'), String(level))).to.equal(level)
      }),
    )
  })
})

describe('parsePowerLevels', () => {
  it('has the defaults of a room without power levels and of one that names none', () => {
    for (const version of versions(1, 12)) {
      for (const levels of [parsePowerLevels(rulesOf(version), undefined), levelsOf(version, {})]) {
        expect(levels).to.include({ ban: 50, kick: 50, invite: 0, redact: 50 })
        expect(levels).to.include({ eventsDefault: 0, stateDefault: 50, usersDefault: 0 })
        expect(levels.notifications.room).to.equal(50)
        expect(levels.events.get('m.room.name')).to.be.undefined
      }
    }
  })

  it('has what the event says', () => {
    const levels = levelsOf('12', {
      ban: 1,
      kick: 2,
      invite: 3,
      redact: 4,
      events_default: 5,
      state_default: 6,
      users_default: 7,
      notifications: { room: 8 },
      events: { 'm.room.name': 9 },
      users: { [alice]: 10 },
    })
    expect(levels).to.include({ ban: 1, kick: 2, invite: 3, redact: 4 })
    expect(levels).to.include({ eventsDefault: 5, stateDefault: 6, usersDefault: 7 })
    expect(levels.notifications.room).to.equal(8)
    expect(levels.events.get('m.room.name')).to.equal(9)
    expect(levels.users.get(alice)).to.equal(10)
  })

  it('does not take what every object has for levels', () => {
    const levels = levelsOf('12', { events: {}, users: {} })
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(levels.events.get(name)).to.be.undefined
      expect(requiredPowerLevel(levels, name, false)).to.equal(0)
    }
  })

  it('survives anything instead of objects', () => {
    for (const nonsense of [null, 1, 'x', [], true]) {
      const levels = levelsOf('1', {
        events: nonsense,
        users: nonsense,
        notifications: nonsense,
        ban: nonsense,
      })
      expect(levels.users.get(alice)).to.be.undefined
      expect(levels.notifications.room).to.equal(50)
    }
  })
})

describe('requiredPowerLevel', () => {
  it('is the level of the type, else that of state or of messages', () => {
    const levels = levelsOf('12', { events: { t: 33 }, state_default: 60, events_default: 10 })
    expect(requiredPowerLevel(levels, 't', true)).to.equal(33)
    expect(requiredPowerLevel(levels, 'u', true)).to.equal(60)
    expect(requiredPowerLevel(levels, 'u', false)).to.equal(10)
  })
})

describe('roomCreators', () => {
  it('are the creator named, the sender, or the sender and others', () => {
    const createContent = { creator: '@other:example.org', additional_creators: [alice, 5] }
    for (const version of versions(1, 10)) {
      const { rules, create } = new AuthRoom(version, { createContent })
      expect(roomCreators(rules, create)).to.deep.equal(['@other:example.org'])
    }
    const v11 = new AuthRoom('11', { createContent })
    expect(roomCreators(v11.rules, v11.create)).to.deep.equal(['@creator:example.org'])
    const v12 = new AuthRoom('12', { createContent })
    expect(roomCreators(v12.rules, v12.create)).to.deep.equal(['@creator:example.org', alice])
  })
})

describe('userPowerLevel', () => {
  it('is 100 for the creator of a room without power levels, 0 for all others', () => {
    for (const version of versions(1, 11)) {
      const { rules, create } = new AuthRoom(version)
      const levels = parsePowerLevels(rules, undefined)
      expect(userPowerLevel(rules, levels, create, '@creator:example.org')).to.equal(100)
      expect(userPowerLevel(rules, levels, create, alice)).to.equal(0)
      expect(userPowerLevel(rules, levels, undefined, alice)).to.equal(0)
    }
  })

  it('is what the power levels say, before version 12 for the creator too', () => {
    for (const version of versions(1, 12)) {
      const { rules, create } = new AuthRoom(version)
      const levels = levelsOf(version, { users: { [alice]: 7 }, users_default: 3 })
      expect(userPowerLevel(rules, levels, create, alice)).to.equal(7)
      expect(userPowerLevel(rules, levels, create, '@bob:example.org')).to.equal(3)
      const creator = userPowerLevel(rules, levels, create, '@creator:example.org')
      expect(creator).to.equal(version === '12' ? CREATOR_POWER_LEVEL : 3)
    }
  })

  it('is infinite for all creators of version 12, power levels or not', () => {
    const { rules, create } = new AuthRoom('12', { createContent: { additional_creators: [alice] } })
    for (const levels of [parsePowerLevels(rules, undefined), levelsOf('12', { users: { [alice]: 1 } })]) {
      expect(userPowerLevel(rules, levels, create, alice)).to.equal(Infinity)
    }
  })
})
