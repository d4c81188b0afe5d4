import { defineConfig } from '@hey-api/openapi-ts';

export default defineConfig({
  input: process.env.SPEC ?? '../../../openapi.yaml',
  output: 'generated',
  plugins: [
    '@hey-api/client-fetch',
    '@hey-api/typescript',
    { name: 'zod', compatibilityVersion: 3 },
    { name: '@hey-api/sdk', validator: { response: 'zod' } }, // every real response is parsed
  ],
});
