import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'

const V1 = '/_synapse/admin/v1'
const FUTURE = 9_000_000_000_000

describe('the administration API of media', function () {
  this.timeout(20_000)
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient

  beforeEach(async () => {
    server = await startHomeserver()
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
  })
  afterEach(() => server[Symbol.asyncDispose]())

  async function upload(content: string): Promise<string> {
    const response = await fetch(`${server.url}/_matrix/media/v3/upload`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${alice.accessToken}`, 'Content-Type': 'text/plain' },
      body: content,
    })
    const { content_uri: uri } = (await response.json()) as { content_uri: string }
    return uri
  }
  const idOf = (uri: string): string => uri.split('/').at(-1)!
  const download = async (uri: string): Promise<number> =>
    (await alice.request('GET', `/_matrix/client/v1/media/download/hs.test/${idOf(uri)}`)).status
  const post = async (target: string): Promise<unknown> =>
    (await admin.request('POST', `${V1}${target}`, { body: {} })).body

  it('puts files into quarantine and takes them out again', async () => {
    const uri = await upload('meow')
    await post(`/media/quarantine/hs.test/${idOf(uri)}`)
    expect(await download(uri)).to.equal(404)
    await post(`/media/unquarantine/hs.test/${idOf(uri)}`)
    expect(await download(uri)).to.equal(200)
    expect(await post(`/user/${alice.userId}/media/quarantine`)).to.deep.equal({ num_quarantined: 1 })
    expect(await download(uri)).to.equal(404)
  })

  it('knows the files of a room', async () => {
    const uri = await upload('purr')
    const room = await alice.createRoom({})
    await alice.sendEvent(room, 'm.room.message', { msgtype: 'm.file', body: 'purr', url: uri })
    expect(await admin.must('GET', `${V1}/room/${room}/media`)).to.deep.equal({ local: [uri], remote: [] })
    expect(await post(`/room/${room}/media/quarantine`)).to.deep.equal({ num_quarantined: 1 })
    expect(await download(uri)).to.equal(404)
  })

  it('deletes files one by one, by user and by age', async () => {
    const [one, two, three] = [await upload('one'), await upload('two'), await upload('three')]
    const deleted = await admin.must('DELETE', `${V1}/media/hs.test/${idOf(one)}`)
    expect(deleted).to.deep.equal({ deleted_media: [idOf(one)], total: 1 })
    expect(await download(one)).to.equal(404)
    expect((await admin.request('DELETE', `${V1}/media/elsewhere.org/x`)).status).to.equal(400)
    const aged = await post(`/media/delete?before_ts=${FUTURE}&size_gt=3`)
    expect(aged).to.deep.equal({ deleted_media: [idOf(three)], total: 1 })
    expect(await post(`/purge_media_cache?before_ts=${FUTURE}`)).to.deep.equal({ deleted: 0 })
    const ofUser = await admin.must('DELETE', `${V1}/users/${alice.userId}/media`)
    expect(ofUser).to.deep.equal({ deleted_media: [idOf(two)], total: 1 })
  })
})
