import { expect } from 'chai'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { MISBEHAVIOUR, startHttpServer } from '../../support/http-servers.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../src/util/json.js'

const STAGE = 'm.login.recaptcha'
const PAGE = `/_matrix/client/v3/auth/${STAGE}/fallback/web`

/** A service that has given a puzzle whose answer is `right`; it tells what it was asked. */
async function startJudge(asked: string[]) {
  return startHttpServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', () => {
      asked.push(body)
      const isRight = new URLSearchParams(body).get('response') === 'right'
      response.end(JSON.stringify({ success: isRight, ...(!isRight && { 'error-codes': ['bad'] }) }))
    })
  })
}

function configFor(port: number, more: JsonObject = {}): Record<string, unknown> {
  return {
    enable_registration: true,
    enable_registration_without_verification: false,
    enable_registration_captcha: true,
    recaptcha_public_key: 'public',
    recaptcha_private_key: 'private & <secret>',
    recaptcha_siteverify_api: `http://127.0.0.1:${port}/verify`,
    ...more,
  }
}

async function register(hs: TestHomeserver, auth?: JsonObject) {
  const body = { username: 'alice', password: 'a good password', ...(auth && { auth }) }
  return hs.client().request('POST', '/_matrix/client/v3/register', { body })
}

async function begin(hs: TestHomeserver): Promise<{ session: string; body: JsonObject }> {
  const { status, body } = await register(hs)
  expect(status).to.equal(401)
  return { session: body['session'] as string, body }
}

function done(body: JsonObject): JsonValue | undefined {
  return isJsonObject(body) ? body['completed'] : undefined
}

describe('registration with a puzzle', () => {
  it('asks the service whether it was solved', async () => {
    const asked: string[] = []
    await using judge = await startJudge(asked)
    await using hs = await startHomeserver({ config: configFor(judge.port) })
    const { session, body } = await begin(hs)
    expect(body['flows']).to.deep.equal([{ stages: [STAGE] }])
    expect(body['params']).to.deep.equal({ [STAGE]: { public_key: 'public' } })
    const unsolved = await register(hs, { type: STAGE, session })
    expect([unsolved.status, unsolved.body['errcode']]).to.deep.equal([401, 'M_CAPTCHA_NEEDED'])
    const long = await register(hs, { type: STAGE, session, response: 'x'.repeat(20_000) })
    expect([long.status, long.body['errcode']]).to.deep.equal([401, 'M_CAPTCHA_INVALID'])
    expect(asked).to.deep.equal([])
    const wrong = await register(hs, { type: STAGE, session, response: 'wrong' })
    expect([wrong.status, wrong.body['errcode'], done(wrong.body)]).to.deep.equal([
      401,
      'M_CAPTCHA_INVALID',
      [],
    ])
    const right = await register(hs, { type: STAGE, session, response: 'right' })
    expect([right.status, right.body['user_id']]).to.deep.equal([200, '@alice:hs.test'])
    expect(asked.map((form) => Object.fromEntries(new URLSearchParams(form)))).to.deep.equal([
      { secret: 'private & <secret>', response: 'wrong' },
      { secret: 'private & <secret>', response: 'right' },
    ])
  })

  it('comes before what else is demanded', async () => {
    await using judge = await startJudge([])
    await using hs = await startHomeserver({
      config: configFor(judge.port, { registration_requires_token: true }),
    })
    const { session, body } = await begin(hs)
    expect(body['flows']).to.deep.equal([{ stages: [STAGE, 'm.login.registration_token'] }])
    const solved = await register(hs, { type: STAGE, session, response: 'right' })
    expect([solved.status, done(solved.body)]).to.deep.equal([401, [STAGE]])
  })

  it('lets nobody in while the service cannot be asked', async () => {
    for (const handler of [MISBEHAVIOUR.abrupt, MISBEHAVIOUR.huge]) {
      await using judge = await startHttpServer(handler)
      await using hs = await startHomeserver({ config: configFor(judge.port) })
      const { session } = await begin(hs)
      const { status, body } = await register(hs, { type: STAGE, session, response: 'right' })
      expect([status, body['errcode'], done(body)]).to.deep.equal([401, 'M_CAPTCHA_INVALID', []])
    }
  })

  it('shows a page to those whose client knows no puzzles', async () => {
    await using judge = await startJudge([])
    await using hs = await startHomeserver({ config: configFor(judge.port) })
    const { session } = await begin(hs)
    const page = await fetch(`${hs.url}${PAGE}?session=${session}`)
    expect([page.status, await page.text()]).to.satisfy(
      ([status, text]: [number, string]) => status === 200 && text.includes('data-sitekey="public"'),
    )
    const submit = (answer: string) =>
      fetch(`${hs.url}${PAGE}`, {
        method: 'POST',
        body: new URLSearchParams({ session, 'g-recaptcha-response': answer }),
      })
    expect((await submit('wrong')).status).to.equal(400)
    expect(await (await submit('right')).text()).to.include('window.onAuthDone()')
    expect((await register(hs, { session })).status).to.equal(200)
  })
})
