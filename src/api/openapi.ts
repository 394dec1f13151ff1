export const openApi = (_: { version: string; tokenRequired: boolean }): object => ({})
