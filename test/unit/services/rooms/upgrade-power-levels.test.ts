import { expect } from 'chai'
import { getRoomVersionRules } from '../../../../src/protocol/room-versions.js'
import { closedLevels, upgradedLevels } from '../../../../src/services/rooms/upgrade-power-levels.js'
import type { JsonObject } from '../../../../src/util/json.js'

const rules = (version: string) => getRoomVersionRules(version)!

describe('power levels of upgraded rooms', () => {
  const upgrade = (
    from: string,
    to: string,
    content: JsonObject,
    creators: [string, ...string[]] = ['@a:b'],
  ) =>
    upgradedLevels({
      content,
      oldRules: rules(from),
      newRules: rules(to),
      oldCreators: from === '12' ? ['@a:b', '@o:b'] : [],
      newCreators: creators,
    })

  it('turn texts into numbers, and drop what is no level', () => {
    const content = { ban: '50', kick: 'x', users: { '@a:b': '100', '@c:d': null }, events: { x: '7' } }
    expect(upgrade('9', '10', content).initial).to.deep.equal({
      ban: 50,
      users: { '@a:b': 100 },
      events: { x: 7 },
    })
  })

  it('raise who upgrades for as long as it takes', () => {
    const content = { users: { '@a:b': 50, '@c:d': 100 }, events: { 'm.room.encryption': 90 } }
    const { initial, final } = upgrade('10', '11', content)
    expect(initial['users']).to.deep.equal({ '@a:b': 90, '@c:d': 100 })
    expect(final?.['users']).to.deep.equal({ '@a:b': 50, '@c:d': 100 })
    const enough = upgrade('10', '11', { users: { '@a:b': 100 } })
    expect(enough.final).to.equal(undefined)
    expect(enough.initial).to.deep.equal({ users: { '@a:b': 100 } })
  })

  it('make ending a room the creators’ business', () => {
    const tombstone = (from: string, content: JsonObject): unknown =>
      (upgrade(from, '12', content).initial['events'] as JsonObject)['m.room.tombstone']
    expect(tombstone('11', {})).to.equal(150)
    expect(tombstone('11', { events: { 'm.room.tombstone': 100 } })).to.equal(150)
    expect(tombstone('11', { events: { 'm.room.tombstone': 200 } })).to.equal(200)
    expect(tombstone('11', { state_default: 300 })).to.equal(301)
    expect(tombstone('12', { events: { 'm.room.tombstone': 120 } })).to.equal(120)
    expect(tombstone('12', { state_default: 150, events: { 'm.room.tombstone': 120 } })).to.equal(151)
  })

  it('make infinite power finite, and finite power infinite', () => {
    const users = { '@c:d': 120 }
    expect(upgrade('12', '11', { users }).initial['users']).to.deep.equal({
      '@a:b': 120,
      '@o:b': 120,
      '@c:d': 120,
    })
    expect(upgrade('11', '12', { users }, ['@a:b', '@c:d']).initial['users']).to.deep.equal({})
  })

  it('close the old room unless it is closed', () => {
    expect(closedLevels(rules('11'), {})).to.deep.equal({ events_default: 50, invite: 50 })
    expect(closedLevels(rules('11'), { users_default: 60, invite: 100 })).to.deep.equal({
      users_default: 60,
      events_default: 61,
      invite: 100,
    })
    expect(closedLevels(rules('11'), { events_default: 50, invite: 50 })).to.equal(undefined)
    expect(closedLevels(rules('1'), { events_default: '70', invite: '80' })).to.equal(undefined)
  })
})
