"""Parquet and CSV files as a stream of record batches with one schema."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from snellen.adapters.errors import InputError
from snellen.adapters.text_files import TextEncodingError, decode_text, encoding_of
from snellen.pipelines.data.sources.tables.column_types import TypeFinder, cast_column
from snellen.pipelines.data.sources.tables.columns import PATH_NAMES
from snellen.pipelines.storage.remote_path import Place, open_binary

CSV_SUFFIXES = (".csv", ".tsv")
_BATCH = 65_536
_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1 << 16
_TAIL_BYTES = 1 << 12


class TableFile(ABC):
    """A table in a local or remote file."""

    def __init__(self, path: Place) -> None:
        self.path = path

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Names of the columns, without reading the rows; raises as ``schema``."""

    @abstractmethod
    def keep_text(self, names: Collection[str]) -> None:
        """Read these columns as text if the file has no types of its own; called first."""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """The columns; raises `InputError` DATASET_UNREADABLE."""

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in file order, with all columns or the named ones at least.

        Raises:
            InputError: DATASET_UNREADABLE.
        """

    def unreadable(self, error: Exception) -> InputError:
        """Return the error for a file that cannot be read."""
        why = str(error)
        if not isinstance(error, TextEncodingError):
            why = f"{why.removesuffix('.')}. Expected Parquet or CSV."
        return InputError(
            "DATASET_UNREADABLE", f"dataset.path: '{self.path}' cannot be read: {why}"
        )


def open_table(path: Place) -> TableFile:
    """Return the table in a file: CSV for a suffix of `CSV_SUFFIXES`, otherwise Parquet."""
    return CsvFile(path) if path.suffix.lower() in CSV_SUFFIXES else ParquetFile(path)


class ParquetFile(TableFile):
    """A Parquet file, read by record batch."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def keep_text(self, names: Collection[str]) -> None:
        """Do nothing: the columns have types."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the file."""
        try:
            with self._open() as file:
                return file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise self.unreadable(error) from None

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to 65,536 rows."""
        try:
            with self._open() as file:
                yield from file.iter_batches(
                    batch_size=_BATCH, columns=None if columns is None else list(columns)
                )
        except (pa.ArrowException, OSError) as error:
            raise self.unreadable(error) from None

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.path if isinstance(self.path, Path) else self.path.open())


@dataclass(frozen=True, slots=True)
class _Header:
    delimiter: str
    names: tuple[str, ...]
    blank_lines: int


class CsvFile(TableFile):
    """A CSV file with a header, in UTF-8 or with a byte order mark.

    The separator is the one of comma, semicolon, tab and vertical bar that splits the header best.
    Only an empty cell without quotes is missing: ``NA`` and ``null`` are text. The type of a
    column is that of all of its cells, not only of the first ones.
    """

    def __init__(self, path: Place) -> None:
        super().__init__(path)
        self._text: frozenset[str] = frozenset()

    def keep_text(self, names: Collection[str]) -> None:
        """Read these columns as text without outer spaces, whatever their cells look like."""
        self._text = frozenset(names)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with the types of their cells; reads the whole file."""
        finder = TypeFinder(self.names, self._text)
        for batch in self._raw():
            finder.add(batch)
        return finder.schema()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the blocks of the file."""
        fields = [field for field in self.schema if columns is None or field.name in columns]
        for batch in self._raw():
            cells = [cast_column(batch.column(field.name), field.type) for field in fields]
            for position, field in enumerate(fields):
                if field.name in self._text:
                    cells[position] = self._one_line(cells[position])
            yield pa.RecordBatch.from_arrays(cells, schema=pa.schema(fields))

    @property
    def names(self) -> list[str]:
        """Names of the columns in the header; those without a name are not read."""
        return [name for name in self._header.names if name]

    def _one_line(self, cells: pa.Array) -> pa.Array:
        trimmed = pc.utf8_trim_whitespace(cells)
        broken = trimmed.filter(pc.match_substring(trimmed, "\n"))
        if len(broken):
            raise self._open_quote(broken[0].as_py())
        return trimmed

    def _open_quote(self, cell: str) -> InputError:
        first = cell.splitlines()[0]
        error = f"the cell that begins with '{first}' has a line break: its quote is not closed"
        return self.unreadable(ValueError(error))

    @cached_property
    def _encoding(self) -> str:
        try:
            with open_binary(self.path) as file:
                return encoding_of(file.read(4))
        except OSError as error:
            raise self.unreadable(error) from None

    @cached_property
    def _header(self) -> _Header:
        with open_binary(self.path) as file:
            start = file.read(_HEADER_BYTES)
        # The end of the block may cut a character, or lie behind the first wrong one.
        text = start.decode(self._encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
        line = text.lstrip("\n")
        if not line or "\0" in line:
            why = "it is empty" if not line else "it has NUL bytes, as UTF-16 without a mark has"
            raise self.unreadable(ValueError(why))
        found = []
        for delimiter in _DELIMITERS:
            cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])
            names = tuple(name.strip() for name in cells)
            known = any(name.lower() in PATH_NAMES for name in names)
            found.append(((known, len(names)), _Header(delimiter, names, len(text) - len(line))))
        return max(found, key=lambda one: one[0])[1]

    def _raw(self) -> Iterator[pa.RecordBatch]:
        """Yield the blocks of the file with every cell as text."""
        header = self._header
        # Columns without a name, such as the index of a data frame, are not read.
        unique = [name or f"\0{number}" for number, name in enumerate(header.names)]
        try:
            with (
                open_binary(self.path) as file,
                pa_csv.open_csv(
                    file,
                    pa_csv.ReadOptions(
                        encoding=self._encoding,
                        column_names=unique,
                        skip_rows_after_names=header.blank_lines + 1,
                    ),
                    pa_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
                    pa_csv.ConvertOptions(
                        column_types=dict.fromkeys(unique, pa.string()),
                        include_columns=[name for name in unique if name[0] != "\0"],
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                ) as reader,
            ):
                batch = None
                for batch in reader:
                    yield batch
                if batch is not None and batch.num_rows:
                    self._check_last(batch.column(batch.num_columns - 1)[-1].as_py())
        except (pa.ArrowException, UnicodeError, OSError) as error:
            raise self.unreadable(self._wrong_encoding() or error) from None

    def _check_last(self, cell: str | None) -> None:
        """Reject a last cell that holds all further lines of the file: its quote is open."""
        if not cell or "\n" not in cell:
            return
        with open_binary(self.path) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(size - min(size, _TAIL_BYTES))
            tail = file.read().replace(b"\0", b"")  # of UTF-16
        if not tail.rstrip().endswith(b'"'):
            raise self._open_quote(cell)

    def _wrong_encoding(self) -> TextEncodingError | None:
        """Return what is wrong with the encoding of the file; None if it is right."""
        if self._encoding != "utf-8":
            return None
        with open_binary(self.path) as file:
            for number, line in enumerate(file, 1):
                try:
                    decode_text(line)
                except TextEncodingError as error:
                    return TextEncodingError(str(error).replace("line 1 ", f"line {number} ", 1))
        return None
