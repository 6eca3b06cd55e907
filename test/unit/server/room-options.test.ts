import { expect } from 'chai'
import { toRoomOptions } from '../../../src/server/room-options.js'
import { testConfig } from '../../support/homeserver.js'

describe('options of rooms', () => {
  it('are as cautious as the defaults of the configuration', () => {
    const options = toRoomOptions(testConfig())
    expect(options.creation.encryptedPresets.size).to.equal(0)
    expect(options.aliasesNeedMembership).to.equal(true)
    expect(options.publicationRules).to.deep.equal([])
    expect(options.aliasCreationRules).to.deep.equal([
      { userId: '*', alias: '*', roomId: '*', action: 'allow' },
    ])
    expect(options.membership).to.deep.equal({ perRoomProfiles: true })
    expect(options.directory).to.deep.equal({
      isSearchable: true,
      withoutAuth: false,
      forServers: false,
    })
    expect(options.invitations).to.deep.equal({ onlyAdminsInvite: false, includeProfile: true })
  })

  it('take over what the configuration says', () => {
    const options = toRoomOptions(
      testConfig({
        encryption_enabled_by_default_for_room_type: 'invite',
        default_power_level_content_override: { public_chat: { invite: 0 } },
        room_list_publication_rules: [{ user_id: '@a:b' }],
        auto_join_rooms: ['#a:hs.test'],
      }),
    )
    expect([...options.creation.encryptedPresets]).to.have.members(['private_chat', 'trusted_private_chat'])
    expect(options.creation.presetPowerLevels).to.deep.equal({ public_chat: { invite: 0 } })
    expect(options.publicationRules).to.deep.equal([
      { userId: '@a:b', alias: '*', roomId: '*', action: 'allow' },
    ])
    expect(options.autoJoin.rooms).to.deep.equal(['#a:hs.test'])
    const all = toRoomOptions(testConfig({ encryption_enabled_by_default_for_room_type: 'all' }))
    expect(all.creation.encryptedPresets.size).to.equal(3)
  })
})
