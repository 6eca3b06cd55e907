import { rmSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { PASSWORD, startHomeserver } from '../../support/homeserver.js'
import { dig } from '../../support/matrix-client.js'

describe('application services that come and go while the server runs', () => {
  it('are taken on at a reload, changed, and forgotten', async () => {
    await using service = await FakeAppservice.start()
    const file = `${service.file}.link`
    await using server = await startHomeserver()
    const alice = await server.register('alice')
    const config = {
      ...server.config,
      appservices: { ...server.config.appservices, files: [file] },
    }
    const bot = service.client(server.url)
    expect((await bot.request('GET', '/_matrix/client/v3/account/whoami')).status).to.equal(401)

    writeFileSync(file, JSON.stringify(service.registration))
    await server.server.reload(config)
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bot.join(roomId)
    await alice.sendText(roomId, 'one')
    await service.waitForEvent((event) => dig(event, 'content', 'body') === 'one')

    const changed = {
      ...service.registration,
      namespaces: { users: [{ exclusive: true, regex: '@new_.*' }] },
    }
    writeFileSync(file, JSON.stringify(changed))
    await server.server.reload(config)
    await bot.registerGhost('new_ghost')
    const taken = await server.client().request('GET', '/_matrix/client/v3/register/available', {
      query: { username: 'new_other' },
    })
    expect(taken.body['errcode']).to.equal('M_EXCLUSIVE')
    await alice.sendText(roomId, 'two')
    await service.waitForEvent((event) => dig(event, 'content', 'body') === 'two')

    rmSync(file)
    await server.server.reload(server.config)
    expect((await bot.request('GET', '/_matrix/client/v3/account/whoami')).status).to.equal(401)
    await server.client().register('new_other', PASSWORD)
  })

  it('stay as they are when a file is no registration any more', async () => {
    await using service = await FakeAppservice.start()
    await using server = await startHomeserver({ config: { app_service_config_files: [service.file] } })
    writeFileSync(service.file, 'id: bridge')
    const failure = await server.server.reload(server.config).catch((error: unknown) => error)
    expect(failure).to.have.property('name', 'RegistrationFileError')
    const bot = service.client(server.url)
    expect(await bot.must('GET', '/_matrix/client/v3/account/whoami')).to.include({
      user_id: '@bridge_bot:hs.test',
    })
  })
})
