import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { Templates } from '../../../src/net/templates.js'
import type { JsonObject } from '../../../src/util/json.js'

interface Call {
  readonly url: string
  readonly body: unknown
}

/** A page as far as the script of the login page looks at it. */
async function open(address: string, flows: readonly JsonObject[]) {
  const templates = new Templates({ customDirectories: [], publicBaseUrl: 'https://hs.test/' })
  const page = await templates.render('login.html', { server_name: 'hs.test' })
  const script = /<script>([^]*)<\/script>/.exec(page)?.[1] ?? ''
  const elements = new Map<string, Record<string, unknown>>()
  const element = (): Record<string, unknown> => ({
    hidden: false,
    textContent: '',
    children: [] as unknown[],
    addEventListener: () => undefined,
    append(this: { children: unknown[] }, child: unknown) {
      this.children.push(child)
    },
    replaceChildren(this: { children: unknown[] }, ...children: unknown[]) {
      this.children = children
    },
  })
  const calls: Call[] = []
  const history: string[] = []
  const loggedIn: unknown[] = []
  const window = { matrixLogin: { onLogin: (response: unknown) => loggedIn.push(response) } }
  runInNewContext(script, {
    URL,
    URLSearchParams,
    window,
    location: new URL(address),
    history: { replaceState: (_state: unknown, _title: string, url: string) => history.push(url) },
    document: {
      getElementById(id: string) {
        const known = elements.get(id) ?? element()
        elements.set(id, known)
        return known
      },
      createElement: element,
    },
    fetch(url: string, options: { body?: string } = {}) {
      calls.push({ url, body: options.body === undefined ? undefined : JSON.parse(options.body) })
      const json = options.body === undefined ? { flows } : { user_id: '@alice:hs.test' }
      return Promise.resolve({ ok: true, json: () => Promise.resolve(json) })
    },
  })
  await new Promise((resolve) => setImmediate(resolve))
  return { elements, calls, history, loggedIn }
}

describe('the page that logs in', () => {
  const PAGE = 'https://hs.test/_matrix/static/client/login/'

  it('leads to the services where people sign on, and has them come back to it', async () => {
    const name = '<b>Campus</b>'
    const flows = [{ type: 'm.login.sso', identity_providers: [{ id: 'oidc-a', name }] }]
    const { elements } = await open(`${PAGE}?device_id=X`, flows)
    expect([elements.get('form')?.['hidden'], elements.get('services')?.['hidden']]).to.deep.equal([
      true,
      false,
    ])
    const [item] = elements.get('services')?.['children'] as {
      children: { href: string; textContent: string }[]
    }[]
    const [link] = item?.children ?? []
    expect(link?.textContent).to.equal(`Sign on with ${name}`)
    const url = new URL(link?.href ?? '', PAGE)
    expect(url.pathname).to.equal('/_matrix/client/v3/login/sso/redirect/oidc-a')
    expect(url.searchParams.get('redirectUrl')).to.equal(`${PAGE}?device_id=X`)
  })

  it('offers what there is', async () => {
    const { elements } = await open(PAGE, [{ type: 'm.login.password' }])
    expect([elements.get('form')?.['hidden'], elements.get('services')?.['hidden']]).to.deep.equal([
      false,
      true,
    ])
  })

  it('logs in with the token with which somebody comes back, and keeps it nowhere', async () => {
    const { calls, history, loggedIn } = await open(`${PAGE}?device_id=X&loginToken=syl_1`, [])
    expect(calls).to.deep.equal([
      { url: '/_matrix/client/v3/login', body: { device_id: 'X', type: 'm.login.token', token: 'syl_1' } },
    ])
    expect(history).to.deep.equal([`${PAGE}?device_id=X`])
    expect(loggedIn).to.deep.equal([{ user_id: '@alice:hs.test' }])
  })
})
