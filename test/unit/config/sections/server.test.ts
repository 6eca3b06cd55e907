import { expect } from 'chai'
import { errorsOf, loadKeys } from '../../../support/load-config.js'

describe('server', () => {
  it('ends its URL with a slash, and tells clients of it once it is set', async () => {
    const { config } = await loadKeys({ public_baseurl: 'https://matrix.example.org' })
    expect(config.server.publicBaseUrl).to.equal('https://matrix.example.org/')
    expect(config.server.servesClientWellKnown).to.equal(true)
  })

  it('takes versions of rooms for numbers too, and knows only those that exist', async () => {
    expect((await loadKeys({ default_room_version: 11 })).config.server.defaultRoomVersion).to.equal('11')
    expect((await errorsOf({ default_room_version: '99' }))[0]).to.match(
      /^default_room_version: expected one of the room versions 1, 2, .*, 12, got "99"$/,
    )
  })

  it('has a bound of timelines that -1 lifts', async () => {
    expect((await loadKeys({})).config.server.filterTimelineLimit).to.equal(100)
    expect((await loadKeys({ filter_timeline_limit: -1 })).config.server.filterTimelineLimit).to.equal(
      undefined,
    )
  })

  it('gives new accounts a type that there is', async () => {
    const types = (keys: object) => ({ user_types: keys })
    expect((await loadKeys({})).config.server.defaultUserType).to.equal(undefined)
    expect((await loadKeys(types({ default_user_type: 'bot' }))).config.server.defaultUserType).to.equal(
      'bot',
    )
    const own = { default_user_type: 'robot', extra_user_types: ['robot'] }
    expect((await loadKeys(types(own))).config.server.defaultUserType).to.equal('robot')
    expect(await errorsOf(types({ default_user_type: 'robot' }))).to.deep.equal([
      'user_types.default_user_type: must be one of bot, support',
    ])
  })

  it('knows further types of users', async () => {
    const { config } = await loadKeys({ user_types: { extra_user_types: ['robot'] } })
    expect(config.server.userTypes).to.deep.equal(['bot', 'support', 'robot'])
  })
})
