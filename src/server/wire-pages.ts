import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { Templates } from '../net/templates.js'
import { StartPages } from '../services/accounts/start-pages.js'
import type { UiAuth } from '../services/accounts/ui-auth.js'
import { UiAuthPages } from '../services/accounts/ui-auth-pages.js'
import type { Services } from '../services/services.js'

/** Constructs what serves people who come with a browser rather than a client. */
export function createPages(parts: {
  readonly config: HomeserverConfig
  readonly templates: Templates
  readonly uiAuth: UiAuth
}): Pick<Services, 'startPages' | 'uiAuthPages'> {
  const { templates, uiAuth } = parts
  return {
    startPages: new StartPages(templates, parts.config.server),
    uiAuthPages: new UiAuthPages({ uiAuth, templates }),
  }
}
