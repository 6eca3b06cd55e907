import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const report = async (client: MatrixClient, target: string, body: object) => {
  const { status, body: answer } = await client.request('POST', `/_matrix/client/v3/${target}`, {
    body: { ...body },
  })
  return [status, answer['errcode']]
}

forEachServerDatabase('reports', (database) => {
  it('of events come from those who are in the room and can read them', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, eve] = [await hs.register('alice'), await hs.register('bob'), await hs.register('eve')]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const eventId = await alice.sendText(roomId, 'rude')
    const target = path`rooms/${roomId}/report/${eventId}`
    expect(await report(eve, target, { reason: 'rude' })).to.deep.equal([404, 'M_NOT_FOUND'])
    await bob.join(roomId)
    expect(await report(bob, target, { reason: 'rude', score: -100 })).to.deep.equal([200, undefined])
    expect(await report(bob, target, {})).to.deep.equal([200, undefined])
    expect(await report(bob, target, { reason: 12 })).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await report(bob, target, { score: 'high' })).to.deep.equal([400, 'M_BAD_JSON'])
    expect(await report(bob, path`rooms/${roomId}/report/${'$unknown'}`, {})).to.deep.equal([
      404,
      'M_NOT_FOUND',
    ])
    await bob.leave(roomId)
    expect(await report(bob, target, {})).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('of rooms and users come from anybody', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, eve] = [await hs.register('alice'), await hs.register('eve')]
    const roomId = await alice.createRoom({ preset: 'private_chat' })
    const reason = { reason: '' }
    expect(await report(eve, path`rooms/${roomId}/report`, reason)).to.deep.equal([200, undefined])
    expect(await report(eve, path`rooms/${roomId}/report`, {})).to.deep.equal([400, 'M_MISSING_PARAM'])
    expect(await report(eve, path`rooms/${'!unknown:hs.test'}/report`, reason)).to.deep.equal([
      404,
      'M_NOT_FOUND',
    ])
    expect(await report(eve, path`users/${alice.userId}/report`, reason)).to.deep.equal([200, undefined])
    expect(await report(eve, path`users/${alice.userId}/report`, {})).to.deep.equal([400, 'M_MISSING_PARAM'])
    for (const unknown of ['@nobody:hs.test', '@nobody:other.test']) {
      expect(await report(eve, path`users/${unknown}/report`, reason), unknown).to.deep.equal([
        404,
        'M_NOT_FOUND',
      ])
    }
  })

  it('are limited', async () => {
    await using hs = await startHomeserver({
      database,
      config: { rc_reports: { per_second: 0.01, burst_count: 1 } },
    })
    const alice = await hs.register('alice')
    const target = path`users/${alice.userId}/report`
    expect(await report(alice, target, { reason: 'x' })).to.deep.equal([200, undefined])
    expect(await report(alice, target, { reason: 'x' })).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
  })
})
