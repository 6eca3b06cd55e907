import { expect } from 'chai'
import { loadKeys } from '../../../support/load-config.js'

describe('invitations', () => {
  const accepted = async (keys: object) =>
    (await loadKeys({ auto_accept_invites: keys })).config.invitations.accepted

  it('are left to those who are invited unless it is switched on', async () => {
    expect((await loadKeys({})).config.invitations.accepted).to.equal(undefined)
    expect(await accepted({ only_for_direct_messages: true })).to.equal(undefined)
  })

  it('are accepted, all or some', async () => {
    expect(await accepted({ enabled: true })).to.deep.equal({ onlyDirect: false, onlyFromOurs: false })
    expect(
      await accepted({ enabled: true, only_for_direct_messages: true, only_from_local_users: true }),
    ).to.deep.equal({ onlyDirect: true, onlyFromOurs: true })
  })
})
