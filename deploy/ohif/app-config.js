// OHIF's configuration: one data source, the gateway, on the origin that the viewer itself comes from.
const root = `${location.origin}/dicomweb`;

window.config = {
  name: "dicomweb-gateway",
  routerBasename: null,
  extensions: [],
  modes: [],
  customizationService: {},
  showStudyList: true,
  showLoadingIndicator: true,
  showErrorDetails: "always",
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  maxNumberOfWebWorkers: 3,
  // Browsers keep six connections to an HTTP/1.1 server; what waits longer in a queue is harder to drop.
  maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 6 },
  investigationalUseDialog: { option: "never" },
  defaultDataSourceName: "gateway",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "gateway",
      configuration: {
        friendlyName: "dicomweb-gateway",
        name: "gateway",
        qidoRoot: root,
        wadoRoot: root,
        wadoUriRoot: root,
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: false, // archives match as C-FIND does
        supportsWildcard: true,
        supportsReject: false,
        dicomUploadEnabled: true, // STOW-RS
        imageRendering: "wadors",
        thumbnailRendering: "thumbnail", // small pictures made by the gateway, instead of whole frames
        thumbnailRequestStrategy: "fetch",
        enableStudyLazyLoad: true,
        omitQuotationForMultipartRequest: true, // without quotes browsers need no preflight across origins
        singlepart: "bulkdata,video,pdf", // documents and films straight from the gateway
        bulkDataURI: { enabled: true, relativeResolution: "instances" },
      },
    },
  ],
};
