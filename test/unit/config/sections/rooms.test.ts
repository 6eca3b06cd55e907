import { expect } from 'chai'
import { loadKeys } from '../../../support/load-config.js'

describe('rooms', () => {
  it('shows those who are invited the usual state, and more if told', async () => {
    const { config } = await loadKeys({
      room_prejoin_state: { additional_event_types: ['org.example.a', ['org.example.b', 'key']] },
    })
    expect(config.rooms.prejoinState).to.deep.include({ type: 'm.room.name', stateKey: '' })
    expect(config.rooms.prejoinState.slice(-2)).to.deep.equal([
      { type: 'org.example.a', stateKey: undefined },
      { type: 'org.example.b', stateKey: 'key' },
    ])
  })

  it('shows those who are invited the create event whatever it is told', async () => {
    const prejoin = async (value: unknown) =>
      (await loadKeys({ room_prejoin_state: value })).config.rooms.prejoinState
    const create = { type: 'm.room.create', stateKey: '' }
    expect(await prejoin({ disable_default_event_types: true })).to.deep.equal([create])
    expect(await prejoin(null))
      .to.have.length(7)
      .and.to.deep.include(create)
  })

  it('excludes the rooms from syncs and from presence that it is told', async () => {
    const excluded = async (keys: object) => [...(await loadKeys(keys)).config.rooms.excludedFromSync]
    const presence = await loadKeys({ exclude_rooms_from_presence: ['!a:b.test'] })
    expect([...presence.config.rooms.excludedFromPresence]).to.deep.equal(['!a:b.test'])
    expect(await excluded({ exclude_rooms_from_sync: ['!a:b.test', '!a:b.test', '!c'] })).to.deep.equal([
      '!a:b.test',
      '!c',
    ])
    expect(await excluded({})).to.deep.equal([])
    expect(await excluded({ exclude_rooms_from_sync: null })).to.deep.equal([])
  })

  it("takes YAML's false for off", async () => {
    const encrypted = async (value: unknown) =>
      (await loadKeys({ encryption_enabled_by_default_for_room_type: value })).config.rooms.encryptedByDefault
    expect(await encrypted(false)).to.equal('off')
    expect(await encrypted('invite')).to.equal('invite')
  })

  it('lets everybody name rooms and nobody publish them, without rules', async () => {
    const { config } = await loadKeys({})
    expect(config.rooms.aliasCreationRules).to.have.length(1)
    expect(config.rooms.publicationRules).to.deep.equal([])
  })

  it('completes rules with globs for all', async () => {
    const { config } = await loadKeys({ room_list_publication_rules: [{ user_id: '@a:*', action: 'deny' }] })
    expect(config.rooms.publicationRules).to.deep.equal([
      { userId: '@a:*', alias: '*', roomId: '*', action: 'deny' },
    ])
  })

  it('limits rooms of other servers where it is told to', async () => {
    const limit = async (keys: object) =>
      (await loadKeys({ limit_remote_rooms: keys })).config.rooms.remoteLimit
    expect((await loadKeys({})).config.rooms.remoteLimit).to.equal(undefined)
    expect(await limit({ complexity: 3 })).to.equal(undefined)
    expect(await limit({ enabled: true })).to.include({ maxComplexity: 1, adminsMayJoin: false })
    expect(
      await limit({ enabled: true, complexity: 0.5, complexity_error: 'Too much', admins_can_join: true }),
    ).to.deep.equal({ maxComplexity: 0.5, message: 'Too much', adminsMayJoin: true })
  })
})
