import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { formatTs, Templates } from '../../../src/net/templates.js'

describe('templates', () => {
  let directory: string
  let templates: Templates

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'mxhs-templates-'))
    const files = {
      'page.html': '{% include "part.html" without context %} {{ html }}',
      'part.html': '<p>{{ name }}</p>',
      'page.txt': '{{ html }} {{ mxc|mxc_to_http(10, 20) }} {{ "a@b.c"|localpart_from_email }}',
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    templates = new Templates({ customDirectories: [directory], publicBaseUrl: 'https://hs.test/' })
  })
  after(() => rmSync(directory, { recursive: true }))

  it('escape what comes from people in pages, and nothing in texts', async () => {
    expect(await templates.render('page.html', { name: 'a & b', html: '<b>' })).to.equal(
      '<p>a &amp; b</p> &lt;b&gt;',
    )
    expect(await templates.render('page.txt', { html: '<b>', mxc: 'mxc://a.test/Xyz' })).to.equal(
      '<b> https://hs.test/_matrix/media/v1/thumbnail/a.test/Xyz?width=10&height=20&method=crop a',
    )
  })

  it('of an operator come before those of the program', async () => {
    writeFileSync(join(directory, 'unsubscribe.html'), 'mine')
    expect(await templates.render('unsubscribe.html', {})).to.equal('mine')
    const own = new Templates({ customDirectories: [], publicBaseUrl: 'https://hs.test/' })
    expect(await own.render('unsubscribe.html', { address: 'a@b' })).to.include('a@b')
  })

  it('take parts of texts as Python does', async () => {
    const text =
      '{{ user_id.split(":")[0][1:] }} {{ name[-2:] }} {% if name[:1] == "é" %}{{ name[1:-1] }}{% endif %}'
    writeFileSync(join(directory, 'slices.html'), text)
    const rendered = await templates.render('slices.html', { user_id: '@a&b:hs.test', name: 'é<>x' })
    expect(rendered).to.equal('a&amp;b &gt;x &lt;&gt;')
  })

  it('fail when there is no such template', async () => {
    const failure = await templates.render('none.html', {}).catch((error: unknown) => error)
    expect(failure).to.be.an('error')
  })

  it('write times as C does', () => {
    const ts = new Date(2026, 1, 3, 14, 5, 9).getTime()
    expect(formatTs(ts, '%A %d %B %Y %H:%M:%S %I%p %a %b %m %% %q')).to.equal(
      'Tuesday 03 February 2026 14:05:09 02PM Tue Feb 02 % %q',
    )
  })
})
