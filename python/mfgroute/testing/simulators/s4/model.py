"""The services, their entity types and properties, by the names that the vendor's metadata gives them."""

from __future__ import annotations

from mfgroute.testing.simulators.s4.entities import Entity, Function, Service
from mfgroute.testing.simulators.s4.entities import fields as _fields
from mfgroute.testing.simulators.s4.store import Row
from mfgroute.testing.simulators.s4.wire import Field

__all__ = [
    "BATCH",
    "CONFIRMATION",
    "CONFIRMED_ITEM",
    "DECISION",
    "DEFAULTS",
    "FAILED",
    "HEADER",
    "INDEXED",
    "ITEM",
    "LOT",
    "SERIAL",
    "SERVICES",
    "Entity",
    "Function",
    "Service",
    "metadata",
]


CONFIRMATION = Entity(
    "ProdnOrdConf2Type",
    "ProdnOrdConf2",
    "confirmations",
    ("ConfirmationGroup", "ConfirmationCount"),
    _fields("""
N10 ConfirmationGroup
N8  ConfirmationCount
N12 OrderID
S6  Sequence
S4  OrderOperation OrderSuboperation OrderType
N8  OrderOperationInternalID
S40 ConfirmationText
S2  Language
S40 Material
D13 OrderPlannedTotalQty
S3  ProductionUnit
S1  FinalConfirmationType
B   IsFinalConfirmation OpenReservationsIsCleared IsReversed IsReversal APIConfHasNoGoodsMovements
S3  OrderConfirmationRecordType
A   ConfirmationEntryDate
T   ConfirmationEntryTime
S12 EnteredByUser
A   LastChangeDate
S12 LastChangedByUser
A   ConfirmationExternalEntryDate
T   ConfirmationExternalEntryTime
S12 EnteredByExternalUser
G   ExternalSystemConfirmation
S4  Plant
S2  WorkCenterTypeCode
S8  WorkCenter
S3  CapacityCategoryCode
I   CapacityRequirementSplit
S8  Personnel TimeRecording
S4  EmployeeWageType
S3  EmployeeWageGroup BreakDurationUnit BreakDurationUnitISOCode
D9  ConfirmedBreakDuration
S2  EmployeeSuitability
D5  NumberOfEmployees
A   PostingDate ConfirmedExecutionStartDate ConfirmedSetupEndDate ConfirmedProcessingStartDate
A   ConfirmedProcessingEndDate ConfirmedTeardownStartDate ConfirmedExecutionEndDate
T   ConfirmedExecutionStartTime ConfirmedSetupEndTime ConfirmedProcessingStartTime
T   ConfirmedProcessingEndTime ConfirmedTeardownStartTime ConfirmedExecutionEndTime
S3  ConfirmationUnit ConfirmationUnitISOCode ConfirmationUnitSAPCode
D13 ConfirmationYieldQuantity ConfirmationScrapQuantity ConfirmationReworkQuantity
S4  VarianceReasonCode
S3  OpWorkQuantityUnit1 OpWorkQuantityUnit2 OpWorkQuantityUnit3
S3  OpWorkQuantityUnit4 OpWorkQuantityUnit5 OpWorkQuantityUnit6
S3  WorkQuantityUnit1ISOCode WorkQuantityUnit2ISOCode WorkQuantityUnit3ISOCode
S3  WorkQuantityUnit4ISOCode WorkQuantityUnit5ISOCode WorkQuantityUnit6ISOCode
D13 OpConfirmedWorkQuantity1 OpConfirmedWorkQuantity2 OpConfirmedWorkQuantity3
D13 OpConfirmedWorkQuantity4 OpConfirmedWorkQuantity5 OpConfirmedWorkQuantity6
B   NoFurtherOpWorkQuantity1IsExpd NoFurtherOpWorkQuantity2IsExpd NoFurtherOpWorkQuantity3IsExpd
B   NoFurtherOpWorkQuantity4IsExpd NoFurtherOpWorkQuantity5IsExpd NoFurtherOpWorkQuantity6IsExpd
S3  BusinessProcessEntryUnit BusProcessEntrUnitISOCode
D13 BusinessProcessConfirmedQty
B   NoFurtherBusinessProcQtyIsExpd
"""),
    {"to_ProdnOrdConfMatlDocItm": ("ProdnOrdConfMatlDocItm", ("ConfirmationGroup", "ConfirmationCount"))},
)

CONFIRMED_ITEM = Entity(
    "ProdnOrdConfMatlDocItmType",
    "ProdnOrdConfMatlDocItm",
    "confirmed_items",
    (
        "ConfirmationGroup",
        "ConfirmationCount",
        "MaterialDocument",
        "MaterialDocumentItem",
        "MaterialDocumentYear",
    ),
    _fields("""
N10 ConfirmationGroup
N8  ConfirmationCount
S10 MaterialDocument
N4  MaterialDocumentItem
S4  MaterialDocumentYear OrderType
N12 OrderID
S4  OrderItem
S2  ManufacturingOrderCategory
S40 Material
S4  Plant
S10 Reservation
S4  ReservationItem StorageLocation ProductionSupplyArea
S10 Batch InventoryValuationType
S3  GoodsMovementType
S1  GoodsMovementRefDocType InventoryUsabilityCode InventorySpecialStockType
S10 SalesOrder
S6  SalesOrderItem
S24 WBSElementExternalID
S10 Supplier Customer
B   ReservationIsFinallyIssued IsCompletelyDelivered
A   ShelfLifeExpirationDate ManufactureDate
S3  StorageType
S10 StorageBin
S50 MaterialDocumentItemText
S3  EntryUnit EntryUnitISOCode EntryUnitSAPCode
D13 QuantityInEntryUnit
"""),
    {},
)

#: Goods movements of confirmations that could not be posted, as a service that a customer makes of the view
#: `I_FailedGoodsMovementItem` shows them; there is no such service of the vendor's.
FAILED = Entity(
    "FailedGoodsMovementItemType",
    "FailedGoodsMovementItem",
    "failed_items",
    ("FailedGoodsMovement", "FailedGoodsMovementItem"),
    _fields("""
N10 FailedGoodsMovement
N4  FailedGoodsMovementItem
N10 ConfirmationGroup
N8  ConfirmationCount
N12 OrderID
S40 Material
S4  Plant
S3  GoodsMovementType
D13 QuantityInEntryUnit
"""),
    {},
)

HEADER = Entity(
    "A_MaterialDocumentHeaderType",
    "A_MaterialDocumentHeader",
    "documents",
    ("MaterialDocumentYear", "MaterialDocument"),
    _fields("""
S4  MaterialDocumentYear
S10 MaterialDocument
S2  InventoryTransactionType
A   DocumentDate PostingDate CreationDate
T   CreationTime
S12 CreatedByUser
S25 MaterialDocumentHeaderText
S16 ReferenceDocument
S1  VersionForPrintingSlip ManualPrintIsTriggered CtrlPostgForExtWhseMgmtSyst
S2  GoodsMovementCode
"""),
    {"to_MaterialDocumentItem": ("A_MaterialDocumentItem", ("MaterialDocumentYear", "MaterialDocument"))},
)

ITEM = Entity(
    "A_MaterialDocumentItemType",
    "A_MaterialDocumentItem",
    "items",
    ("MaterialDocumentYear", "MaterialDocument", "MaterialDocumentItem"),
    _fields("""
S4  MaterialDocumentYear
S10 MaterialDocument
N4  MaterialDocumentItem
S40 Material
S4  Plant StorageLocation
S10 Batch
S15 BatchBySupplier
S3  GoodsMovementType
S2  InventoryStockType
S10 InventoryValuationType
S1  InventorySpecialStockType
S10 Supplier Customer SalesOrder
S6  SalesOrderItem
S10 PurchaseOrder
S5  PurchaseOrderItem
S24 WBSElement
N12 ManufacturingOrder
S4  ManufacturingOrderItem
S1  GoodsMovementRefDocType
S4  GoodsMovementReasonCode
S10 Delivery
S6  DeliveryItem
S10 CostCenter GLAccount
S3  MaterialBaseUnit MaterialBaseUnitISOCode MaterialBaseUnitSAPCode
D13 QuantityInBaseUnit
S3  EntryUnit EntryUnitISOCode EntryUnitSAPCode
D13 QuantityInEntryUnit
S40 IssgOrRcvgMaterial
S10 IssgOrRcvgBatch
S4  IssuingOrReceivingPlant IssuingOrReceivingStorageLoc
S2  IssuingOrReceivingStockType
B   IsCompletelyDelivered
S50 MaterialDocumentItemText
S12 GoodsRecipientName
S25 UnloadingPointName
A   ShelfLifeExpirationDate ManufactureDate
B   SerialNumbersAreCreatedAutomly
S10 Reservation
S4  ReservationItem
B   ReservationIsFinallyIssued GoodsMovementIsCancelled
S4  ReversedMaterialDocumentYear
S10 ReversedMaterialDocument
N4  ReversedMaterialDocumentItem
S1  MaterialDocumentPostingType InventoryUsabilityCode DebitCreditCode
"""),
    {
        "to_SerialNumbers": (
            "A_SerialNumberMaterialDocument",
            ("MaterialDocumentYear", "MaterialDocument", "MaterialDocumentItem"),
        )
    },
)

SERIAL = Entity(
    "A_SerialNumberMaterialDocumentType",
    "A_SerialNumberMaterialDocument",
    "serials",
    ("Material", "SerialNumber", "MaterialDocument", "MaterialDocumentItem", "MaterialDocumentYear"),
    _fields("""
S40 Material
S18 SerialNumber
S10 MaterialDocument
N4  MaterialDocumentItem
S4  MaterialDocumentYear
S30 ManufacturerSerialNumber
"""),
    {},
)

BATCH = Entity(
    "BatchType",
    "Batch",
    "batches",
    ("Material", "BatchIdentifyingPlant", "Batch"),
    _fields("""
S40 Material
S4  BatchIdentifyingPlant
S10 Batch
B   BatchIsMarkedForDeletion MatlBatchIsInRstrcdUseStock
S10 Supplier
S15 BatchBySupplier
S3  CountryOfOrigin RegionOfOrigin
A   MatlBatchAvailabilityDate ShelfLifeExpirationDate ManufactureDate LastGoodsReceiptDate
"""),
    {},
)

LOT = Entity(
    "A_InspectionLotType",
    "A_InspectionLot",
    "lots",
    ("InspectionLot",),
    _fields("""
S12 InspectionLot
S40 Material
S10 Batch
S4  Plant InspectionLotStorageLocation
D13 InspectionLotQuantity
S3  InspectionLotQuantityUnit
B   InspectionLotHasUsageDecision
"""),
    {"to_InspectionLotUsageDecision": ("A_InspLotUsageDecision", ("InspectionLot",))},
)

DECISION = Entity(
    "A_InspLotUsageDecisionType",
    "A_InspLotUsageDecision",
    "decisions",
    ("InspectionLot",),
    _fields("""
S12 InspectionLot
S1  InspLotUsageDecisionLevel InspLotUsageDecisionCatalog
S4  SelectedCodeSetPlant
S8  InspLotUsgeDcsnSelectedSet InspLotUsageDecisionCodeGroup
S4  InspectionLotUsageDecisionCode
S1  InspLotUsageDecisionValuation
"""),
    {},
)


def _service(entities: tuple[Entity, ...], functions: dict[str, Function] | None = None) -> Service:
    return Service({entity.path: entity for entity in entities}, functions or {})


#: Every service by name, below ``/sap/opu/odata/sap/``.
SERVICES: dict[str, Service] = {
    "API_PROD_ORDER_CONFIRMATION_2_SRV": _service(
        (CONFIRMATION, CONFIRMED_ITEM),
        {
            "CancelProdnOrdConf": Function(
                {
                    "ConfirmationGroup": True,
                    "ConfirmationCount": True,
                    "PostingDate": False,
                    "ConfirmationText": False,
                    "ExternalSystemConfirmation": False,
                },
                "ProdnOrdConf2",
            )
        },
    ),
    "API_MATERIAL_DOCUMENT_SRV": _service(
        (HEADER, ITEM, SERIAL),
        {
            "Cancel": Function(
                {"MaterialDocumentYear": True, "MaterialDocument": True, "PostingDate": False},
                "A_MaterialDocumentHeader",
            ),
            "CancelItem": Function(
                {
                    "MaterialDocumentYear": True,
                    "MaterialDocument": True,
                    "MaterialDocumentItem": True,
                    "PostingDate": False,
                },
                "A_MaterialDocumentItem",
            ),
        },
    ),
    "API_BATCH_SRV": _service((BATCH,)),
    "Z_FAILED_GOODS_MOVEMENT_SRV": _service((FAILED,)),
    "API_INSPECTIONLOT_SRV": _service((LOT, DECISION)),
}


#: What a row says that does not say anything, by table.
DEFAULTS: dict[str, Row] = {
    entity.table: entity.empty() for service in SERVICES.values() for entity in service.entities.values()
}

#: Properties that rows are looked up by, by table.
INDEXED = {
    CONFIRMATION.table: ("ExternalSystemConfirmation", "OrderID"),
    CONFIRMED_ITEM.table: ("ConfirmationGroup",),
    FAILED.table: ("ConfirmationGroup",),
    HEADER.table: ("ReferenceDocument", "MaterialDocument"),
    ITEM.table: ("MaterialDocument", "ReversedMaterialDocument", "ManufacturingOrder"),
    SERIAL.table: ("MaterialDocument",),
}


def metadata(name: str) -> bytes:
    """``$metadata`` of a service: its types, properties and sets, enough to look names up."""
    kinds = {
        "S": "String",
        "N": "String",
        "D": "Decimal",
        "A": "DateTime",
        "T": "Time",
        "B": "Boolean",
        "G": "Guid",
        "I": "Byte",
    }
    service = SERVICES[name]
    types: list[str] = []
    for entity in service.entities.values():
        keys = "".join(f'<PropertyRef Name="{key}"/>' for key in entity.keys)
        properties = "".join(
            f'<Property Name="{field.name}" Type="Edm.{kinds[field.kind]}"{_facets(field)}/>'
            for field in entity.fields.values()
        )
        types.append(f'<EntityType Name="{entity.name}"><Key>{keys}</Key>{properties}</EntityType>')
    sets = "".join(
        f'<EntitySet Name="{path}" EntityType="{name}.{entity.name}"/>'
        for path, entity in service.entities.items()
    )
    functions = "".join(
        f'<FunctionImport Name="{path}" EntitySet="{function.returns}" m:HttpMethod="POST"/>'
        for path, function in service.functions.items()
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" '
        'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        '<edmx:DataServices m:DataServiceVersion="2.0">'
        f'<Schema Namespace="{name}" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">'
        f'{"".join(types)}<EntityContainer Name="{name}_Entities" m:IsDefaultEntityContainer="true">'
        f"{sets}{functions}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


def _facets(field: Field) -> str:
    if field.kind in "SN":
        return f' MaxLength="{field.size}"'
    return f' Precision="{field.size}" Scale="3"' if field.kind == "D" else ""
